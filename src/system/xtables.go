package system

import (
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"

	"github.com/google/nftables"
)

// lockSeconds is how long iptables may wait for another iptables.
const lockSeconds = 5

// XTChain is a chain of ours in a table of iptables, to which a chain of the host's jumps first of all.
type XTChain struct {
	IPv6    bool
	Backend xtBackend
	Table   string // "filter" or "nat"
	Chain   string
	From    string     // the host's chain
	Rules   [][]string // as iptables lists them, without "-A CHAIN"
}

// Command implements Object.
func (o XTChain) Command() string {
	program := fmt.Sprintf("%s -t %s", o.program(), o.Table)
	lines := []string{program + " -N " + o.Chain}
	for _, r := range o.Rules {
		lines = append(lines, fmt.Sprintf("%s -A %s %s", program, o.Chain, strings.Join(r, " ")))
	}
	return strings.Join(append(lines, fmt.Sprintf("%s -I %s 1 -j %s", program, o.From, o.Chain)), "; ")
}
func (o XTChain) key() string { return fmt.Sprintf("%s %s %s", o.program(), o.Table, o.Chain) }

func (o XTChain) program() xtProgram { return xtProgram{o.IPv6, o.Backend} }

// String is the name of the program.
func (p xtProgram) String() string {
	if p.IPv6 {
		return "ip6tables-" + string(p.Backend)
	}
	return "iptables-" + string(p.Backend)
}

// An xtTool lists and changes the rules that one program called iptables sees.
type xtTool interface {
	List(table, chain string) ([]string, error)
	ChainExists(table, chain string) (bool, error)
	ClearChain(table, chain string) error // makes it, too
	ClearAndDeleteChain(table, chain string) error
	Exists(table, chain string, rule ...string) (bool, error)
	Append(table, chain string, rule ...string) error
	Insert(table, chain string, position int, rule ...string) error
	Delete(table, chain string, rule ...string) error
}

// xtables speaks to iptables through its programs. None of them need exist.
type xtables struct {
	known  map[xtProgram]xtTool // nil: there is none
	listed map[string][]string  // what iptables itself lists of our chains, by key
}

func newXTables() *xtables {
	return &xtables{known: map[xtProgram]xtTool{}, listed: map[string][]string{}}
}

// program finds the program for a backend, or nil.
func (x *xtables) program(p xtProgram) xtTool {
	ipt, asked := x.known[p]
	if !asked {
		ipt = findProgram(p)
		x.known[p] = ipt
	}
	return ipt
}

// findProgram looks for the program under the backend's name, and under the general one if that is this backend's.
func findProgram(p xtProgram) xtTool {
	general, _, _ := strings.Cut(p.String(), "-")
	for _, name := range []string{p.String(), general} {
		path, err := lookPath(name)
		if err != nil {
			continue
		}
		version, err := exec.Command(path, "--version").Output()
		if err != nil || strings.Contains(string(version), "nf_tables") != (p.Backend == xtNFT) {
			continue
		}
		if ipt, err := newXTTool(path, p.IPv6); err == nil {
			return ipt
		}
	}
	return nil
}

// giveUp does without iptables-nft where the host's tables of that name are of another making, which it refuses to touch.
// It reports whether that changes anything.
func (x *xtables) giveUp(err error) (changed bool) {
	if !strings.Contains(err.Error(), "incompatible") {
		return false
	}
	for _, ipv6 := range []bool{false, true} {
		p := xtProgram{ipv6, xtNFT}
		changed = changed || x.known[p] != nil
		x.known[p] = nil
	}
	return changed
}

// lookPath finds a program also where a user's PATH does not lead.
func lookPath(name string) (string, error) {
	path, err := exec.LookPath(name)
	for _, dir := range []string{"/usr/sbin/", "/sbin/"} {
		if err == nil {
			break
		}
		path, err = exec.LookPath(dir + name)
	}
	return path, err
}

// legacyChains lists the chains of table filter that see what is forwarded or comes in.
func (x *xtables) legacyChains(p xtProgram) (list []hostChain) {
	family := "ip"
	if p.IPv6 {
		family = "ip6"
	}
	for _, c := range [][2]string{{"INPUT", "input"}, {"FORWARD", "forward"}} {
		lines, err := x.program(p).List("filter", c[0])
		if err != nil {
			continue
		}
		list = append(list, legacyChain(family, c[0], c[1], lines))
	}
	return list
}

// legacyChain reads what "iptables -S CHAIN" lists.
func legacyChain(family, name, hook string, lines []string) hostChain {
	c := hostChain{Family: family, Table: "filter", Name: name, Hook: hook}
	for _, line := range lines {
		words := strings.Fields(line)
		switch {
		case len(words) == 3 && words[0] == "-P":
			c.Drops = words[2] == "DROP"
		case len(words) < 3 || words[0] != "-A" || strings.HasPrefix(words[len(words)-1], "MPPROXY"):
		default:
			c.Rules++
			c.Drops = c.Drops || words[2] == "-j" && (words[3] == "DROP" || words[3] == "REJECT")
		}
	}
	return c
}

// xtables makes one of our chains, or puts it back where it belongs.
func (k *kernel) xtables(o XTChain, same bool) (undo func() error, made bool, err error) {
	ipt := k.xt.program(o.program())
	if ipt == nil {
		return nil, false, fmt.Errorf("there is no program %s", o.program())
	}
	undo = func() error { return k.removeXT(ipt, o) }
	if same && k.xt.stands(ipt, o) {
		return undo, false, nil
	}
	if err := k.noteBaseChain(o); err != nil {
		return nil, false, err
	}
	if err := ipt.ClearChain(o.Table, o.Chain); err != nil { // makes it, too
		return undo, true, err
	}
	for _, r := range o.Rules {
		if err := ipt.Append(o.Table, o.Chain, r...); err != nil {
			return undo, true, err
		}
	}
	if err := unjump(ipt, o); err != nil {
		return undo, true, err
	}
	if err := ipt.Insert(o.Table, o.From, 1, "-j", o.Chain); err != nil {
		return undo, true, err
	}
	k.xt.listed[o.key()], err = ipt.List(o.Table, o.Chain)
	if err == nil && !k.xt.stands(ipt, o) { // nor could we see it when somebody else removes it
		err = errors.Join(fmt.Errorf("%s is incompatible with %s", o.From, o.program()), undo())
	}
	return undo, true, err
}

// stands reports that the chain is as it was made, and that the host's chain jumps to it first.
func (x *xtables) stands(ipt xtTool, o XTChain) bool {
	rules, err := ipt.List(o.Table, o.Chain)
	if err != nil || !slices.Equal(rules, x.listed[o.key()]) {
		return false
	}
	rules, err = ipt.List(o.Table, o.From)
	jump := fmt.Sprintf("-A %s -j %s", o.From, o.Chain)
	first := slices.IndexFunc(rules, func(line string) bool { return strings.HasPrefix(line, "-A ") })
	return err == nil && first >= 0 && rules[first] == jump && !slices.Contains(rules[first+1:], jump)
}

// unjump removes every jump to our chain.
func unjump(ipt xtTool, o XTChain) error {
	for {
		there, err := ipt.Exists(o.Table, o.From, "-j", o.Chain)
		if err != nil || !there {
			return err
		}
		if err := ipt.Delete(o.Table, o.From, "-j", o.Chain); err != nil {
			return err
		}
	}
}

// removeXT takes the chain back, and a base chain of iptables-nft that came into being with it.
func (k *kernel) removeXT(ipt xtTool, o XTChain) error {
	delete(k.xt.listed, o.key())
	there, err := ipt.ChainExists(o.Table, o.Chain)
	if err == nil && there {
		if err = unjump(ipt, o); err == nil {
			err = ipt.ClearAndDeleteChain(o.Table, o.Chain)
		}
	}
	return errors.Join(err, k.dropBaseChains())
}

// xtChainsOf returns the names of our chains with the host's chain each belongs below.
func (p Params) xtChainsOf() map[string][2]string {
	return map[string][2]string{
		p.xtPrefix() + "-IN":  {"filter", "INPUT"},
		p.xtPrefix() + "-FWD": {"filter", "FORWARD"},
		p.xtPrefix() + "-NAT": {"nat", "POSTROUTING"},
	}
}

func (p Params) xtPrefix() string { return strings.ToUpper(p.NFTable) }

// cleanXT removes our chains that a killed daemon left in iptables. A table of legacy iptables is asked only if it is there.
func (k *kernel) cleanXT(p Params) error {
	var errs []error
	ours := nftChainNames()
	for name, at := range p.xtChainsOf() {
		for _, ipv6 := range []bool{false, true} {
			for _, b := range []xtBackend{xtLegacy, xtNFT} {
				if b == xtLegacy && !legacyTable(ipv6, at[0]) || b == xtNFT && !slices.Contains(ours, name) {
					continue
				}
				o := XTChain{IPv6: ipv6, Backend: b, Table: at[0], Chain: name, From: at[1]}
				if ipt := k.xt.program(o.program()); ipt != nil {
					errs = append(errs, k.removeXT(ipt, o))
				}
			}
		}
	}
	return errors.Join(append(errs, k.dropBaseChains())...)
}

// nftChainNames lists the names of all chains of nf_tables.
func nftChainNames() (names []string) {
	conn, err := nftables.New()
	if err != nil {
		return nil
	}
	chains, _ := conn.ListChains()
	for _, c := range chains {
		names = append(names, c.Name)
	}
	return names
}
