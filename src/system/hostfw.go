package system

import (
	"fmt"
	"slices"
	"strings"
)

// xtBackend is one of the two kernels' halves that a program called iptables may speak to. Rules of one are invisible in
// the other, and each may drop what the other accepted.
type xtBackend string

const (
	xtLegacy xtBackend = "legacy"
	xtNFT    xtBackend = "nft"
)

// hostFirewall is what was found of the firewall of a machine; our own parts are left out.
type hostFirewall struct {
	// Chains are the base chains of nf_tables that see forwarded packets, or packets to the machine itself.
	Chains []hostChain
	// Legacy are the same chains of legacy iptables (INPUT and FORWARD of table filter).
	Legacy []hostChain
	// Programs tells which backends have a program that speaks to them, by IPv6 or not.
	Programs map[xtProgram]bool
}

// xtProgram names iptables-legacy, iptables-nft, ip6tables-legacy or ip6tables-nft.
type xtProgram struct {
	IPv6    bool
	Backend xtBackend
}

// hostChain is a chain of somebody else's.
type hostChain struct {
	Family string // "ip", "ip6" or "inet"
	Table  string
	Name   string
	Hook   string // "forward" or "input"
	Rules  int
	Drops  bool // by its policy or its last rule
}

// inForce reports that the chain can do something to a packet.
func (c hostChain) inForce() bool { return c.Rules > 0 || c.Drops }

// byIPTables reports that iptables-nft made the chain, or could have: it then speaks its language.
func (c hostChain) byIPTables() bool {
	return (c.Family == "ip" || c.Family == "ip6") && c.Table == "filter" && (c.Name == "FORWARD" || c.Name == "INPUT")
}

// byFirewalld reports that firewalld keeps the chain.
func (c hostChain) byFirewalld() bool { return c.Family == "inet" && c.Table == "firewalld" }

// wayIn says how our rules get where the host's rules live.
type wayIn struct {
	// xt lists, for IPv4 and IPv6, the iptables backends that get our chains; address translation goes to the first.
	// With none, all of that family is in our own nft table.
	xt [2][]xtBackend
	// firewalld must be told to let our device be.
	firewalld bool
	// own are the chains that nothing of ours can reach: their owner must let us pass.
	own []hostChain
}

// chooseWayIn decides from what was found. It touches nothing.
func chooseWayIn(h hostFirewall) (w wayIn) {
	for _, c := range h.Legacy {
		w.iptables(h, c, xtLegacy)
	}
	for _, c := range h.Chains {
		switch {
		case !c.inForce():
		case c.byFirewalld():
			w.firewalld = true
		case c.byIPTables():
			w.iptables(h, c, xtNFT)
		case c.Drops:
			w.own = append(w.own, c)
		}
	}
	for i := range w.xt { // what the kernel can take back wholly goes first
		slices.SortFunc(w.xt[i], func(a, b xtBackend) int { return -strings.Compare(string(a), string(b)) })
	}
	return w
}

func (w *wayIn) iptables(h hostFirewall, c hostChain, b xtBackend) {
	if !c.inForce() {
		return
	}
	i := familyIndex(c.Family == "ip6")
	switch {
	case slices.Contains(w.xt[i], b):
	case h.Programs[xtProgram{c.Family == "ip6", b}]:
		w.xt[i] = append(w.xt[i], b)
	case c.Drops:
		w.own = append(w.own, c)
	}
}

// familyIndex is 0 for IPv4 and 1 for IPv6.
func familyIndex(ipv6 bool) int {
	if ipv6 {
		return 1
	}
	return 0
}

func (w wayIn) equal(o wayIn) bool {
	return slices.Equal(w.xt[0], o.xt[0]) && slices.Equal(w.xt[1], o.xt[1]) && w.firewalld == o.firewalld && slices.Equal(w.own, o.own)
}

// held reports that iptables has our rules of a family.
func (w wayIn) held(ipv6 bool) bool { return len(w.xt[familyIndex(ipv6)]) > 0 }

// advice says, one sentence for each chain that we cannot reach, which lines its owner should add for device to pass; ports are
// what the portal listens at, as "udp 6779".
func (w wayIn) advice(device string, ports []string) (lines []string) {
	for _, c := range w.own {
		where := strings.Join([]string{c.Family, c.Table, c.Name}, " ")
		add := func(what string) string { return fmt.Sprintf("nft 'insert rule %s %s'", where, what) }
		var need []string
		reason := "drops what is forwarded, so nothing from the routers gets through"
		if c.Hook == "input" {
			reason = "drops what comes in"
			for _, p := range ports {
				proto, port, _ := strings.Cut(p, " ")
				need = append(need, add(fmt.Sprintf("%s dport %s accept", proto, port)))
			}
		} else {
			need = []string{add(fmt.Sprintf("iifname \"%s\" accept", device)), add(fmt.Sprintf("oifname \"%s\" accept", device))}
		}
		lines = append(lines, fmt.Sprintf("chain %s of this server's firewall %s; add to it: %s (and the same to the file it is loaded from)",
			where, reason, strings.Join(need, "; ")))
	}
	return lines
}
