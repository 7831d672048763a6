package system

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
)

// Guard is what the kill switch puts up: nothing from the LAN leaves but through the tunnel, whether we run or not.
//
// It sees what is forwarded, so the router's own pages, name server and DHCP stay reachable. Private destinations pass,
// whatever link they lie behind: other LANs, guest nets, modem pages.
type Guard struct {
	Device  string   // the TUN; it need not exist
	LAN     []string // devices whose traffic is held; they need not exist
	DNSUser int      // uid whose name queries are held too, unless they go to the LAN or into the tunnel; 0: nobody's
}

// beforeFilter is just before the host's own firewall, whose verdicts still count for what we accept.
const beforeFilter = -10

// localNets are never "outside": private and link-local addresses, and multicast.
func localNets() (list []netip.Prefix) {
	for _, s := range []string{"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "224.0.0.0/4", "fc00::/7", "fe80::/10", "ff00::/8"} {
		list = append(list, netip.MustParsePrefix(s))
	}
	return list
}

// planGuard gives the table as it is loaded at boot, which stays, and the copy that belongs to the daemon: whoever
// flushes all tables flushes the first only.
func (p Params) planGuard(g Guard) (plain, held NFTable) {
	inside := append([]string{g.Device}, g.LAN...)
	decide := NFChain{Name: "from_lan"}
	for _, device := range inside {
		decide.Rules = append(decide.Rules, nfRule(outBy(device), accept()))
	}
	for _, net := range localNets() {
		decide.Rules = append(decide.Rules, nfRule(bound(net), accept()))
	}
	decide.Rules = append(decide.Rules, nfRule(prohibit()))
	forward := NFChain{Name: "forward", Type: "filter", Hook: "forward", Priority: beforeFilter}
	for _, device := range g.LAN {
		forward.Rules = append(forward.Rules, nfRule(inBy(device), jump(decide.Name)))
	}
	chains := []NFChain{decide, forward}
	if g.DNSUser != 0 {
		// After routing: a mark may have led the query elsewhere than it was meant to go.
		names := NFChain{Name: "names", Type: "filter", Hook: "postrouting", Priority: beforeFilter}
		for _, proto := range transports() {
			parts := []nfPart{sentBy(g.DNSUser), nameQuery(proto)}
			for _, device := range append([]string{"lo"}, inside...) {
				parts = append(parts, outNotBy(device))
			}
			names.Rules = append(names.Rules, nfRule(append(parts, drop())...))
		}
		chains = append(chains, names)
	}
	return NFTable{Name: p.GuardTable, Chains: chains, Kept: true}, NFTable{Name: p.GuardTable + "_held", Chains: chains, Owned: true}
}

// RaiseGuard puts the guard up, or puts up what is missing of it. It works without a running daemon and before any
// device exists.
func RaiseGuard(p Params, g Guard, log *slog.Logger) error {
	if len(g.LAN) == 0 {
		return errors.New("put up the kill switch's guard: there is no LAN device to hold")
	}
	k, err := openKernel(p)
	if err != nil {
		return err
	}
	defer k.close()
	plain, _ := p.planGuard(g)
	if _, _, err := k.nft(plain, false); err != nil {
		return fmt.Errorf("put up the kill switch's guard: %w", err)
	}
	log.Info("the kill switch's guard is up", "table", plain.Name, "lan", g.LAN)
	return nil
}

// LowerGuard takes the guard away; removed is false if there was none.
func LowerGuard(p Params) (removed bool, err error) {
	k, err := openKernel(p)
	if err != nil {
		return false, err
	}
	defer k.close()
	if removed, err = k.hasTable(p.GuardTable); err == nil && removed {
		err = k.removeTable(p.GuardTable)
	}
	if err != nil {
		return false, fmt.Errorf("take the kill switch's guard away: %w", err)
	}
	return removed, nil
}

// GuardState tells which of the two tables of the guard are there: the plain one, and the one a running daemon holds.
func GuardState(p Params) (plain, held bool, err error) {
	k, err := openKernel(p)
	if err != nil {
		return false, false, err
	}
	defer k.close()
	if plain, err = k.hasTable(p.GuardTable); err == nil {
		held, err = k.hasTable(p.GuardTable + "_held")
	}
	return plain, held, err
}
