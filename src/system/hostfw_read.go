package system

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
)

// hostFirewall reads what firewall the machine has, without changing anything.
func (k *kernel) hostFirewall(p Params) (h hostFirewall, err error) {
	h.Programs = map[xtProgram]bool{}
	for _, ipv6 := range []bool{false, true} {
		for _, b := range []xtBackend{xtLegacy, xtNFT} {
			program := xtProgram{ipv6, b}
			h.Programs[program] = k.xt.program(program) != nil
			if b == xtLegacy && h.Programs[program] && legacyTable(ipv6, "filter") {
				h.Legacy = append(h.Legacy, k.xt.legacyChains(program)...)
			}
		}
	}
	h.Chains, err = nftChains(p.NFTable, p.xtPrefix())
	return h, err
}

// legacyTable reports that a table of legacy iptables exists here. To ask iptables itself would make the table.
func legacyTable(ipv6 bool, table string) bool {
	list, module := "/proc/thread-self/net/ip_tables_names", "/sys/module/iptable_"+table
	if ipv6 {
		list, module = "/proc/thread-self/net/ip6_tables_names", "/sys/module/ip6table_"+table
	}
	names, err := os.ReadFile(list)
	if errors.Is(err, fs.ErrPermission) { // only root may read it; but a module that is not loaded has no tables
		_, err = os.Stat(module)
		return err == nil || monolithic()
	}
	return err == nil && slices.Contains(strings.Fields(string(names)), table)
}

// nftChains lists other people's base chains that see what is forwarded or comes in.
func nftChains(ownTable, ownPrefix string) (list []hostChain, err error) {
	conn, err := nftables.New()
	if err != nil {
		return nil, fmt.Errorf("open nftables: %w", err)
	}
	chains, err := conn.ListChains()
	if err != nil {
		return nil, fmt.Errorf("list nft chains: %w", err)
	}
	families := map[nftables.TableFamily]string{
		nftables.TableFamilyIPv4: "ip", nftables.TableFamilyIPv6: "ip6", nftables.TableFamilyINet: "inet",
	}
	for _, c := range chains {
		family, known := families[c.Table.Family]
		if !known || c.Hooknum == nil || c.Type != nftables.ChainTypeFilter || strings.HasPrefix(c.Table.Name, ownTable) {
			continue
		}
		found := hostChain{Family: family, Table: c.Table.Name, Name: c.Name, Hook: "forward"}
		switch *c.Hooknum {
		case *nftables.ChainHookForward:
		case *nftables.ChainHookInput:
			found.Hook = "input"
		default:
			continue
		}
		found.Drops = c.Policy != nil && *c.Policy == nftables.ChainPolicyDrop
		rules, err := conn.GetRules(c.Table, c)
		if err != nil { // not all expressions are known to the library: better to take it for a rule
			found.Rules = 1
		}
		rules = slices.DeleteFunc(rules, func(r *nftables.Rule) bool { return jumpsTo(r, ownPrefix) })
		found.Rules += len(rules)
		if len(rules) > 0 && refusesAll(rules[len(rules)-1]) {
			found.Drops = true
		}
		list = append(list, found)
	}
	return list, nil
}

func jumpsTo(r *nftables.Rule, prefix string) bool {
	return slices.ContainsFunc(r.Exprs, func(e expr.Any) bool {
		v, ok := e.(*expr.Verdict)
		return ok && v.Kind == expr.VerdictJump && strings.HasPrefix(v.Chain, prefix)
	})
}

// refusesAll reports a rule that drops or rejects whatever reaches it.
func refusesAll(r *nftables.Rule) bool {
	refuses := false
	for _, e := range r.Exprs {
		switch e := e.(type) {
		case *expr.Counter, *expr.Log:
		case *expr.Reject:
			refuses = true
		case *expr.Verdict:
			if e.Kind != expr.VerdictDrop {
				return false
			}
			refuses = true
		case *expr.Target:
			if e.Name != "REJECT" {
				return false
			}
			refuses = true
		default:
			return false
		}
	}
	return refuses
}

// monolithic reports a kernel without modules: all it can do is in it.
func monolithic() bool {
	modules, err := os.ReadFile("/proc/modules")
	return err != nil || len(modules) == 0
}
