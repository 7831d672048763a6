package system

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Cleanup removes all that a killed daemon left: routes and rules with our protocol number in both families and all
// tables, our nft table, our chains in iptables, what firewalld was told, and old kernel settings kept in the state file. It goes on after an error and may be called at
// any time when no daemon of ours runs; twice does no harm.
func Cleanup(p Params, log *slog.Logger) error {
	k, err := openKernel(p)
	if err != nil {
		return err
	}
	defer k.close()
	return k.cleanup(p, log)
}

// cleanup leaves the nft tables alone that are to be kept.
func (k *kernel) cleanup(p Params, log *slog.Logger, keep ...string) error {
	var errs []error
	for _, family := range []int{unix.AF_INET, unix.AF_INET6} {
		errs = append(errs, k.cleanRules(family, log), k.cleanRoutes(family, log))
	}
	for _, name := range p.tables() {
		if slices.Contains(keep, name) {
			continue
		}
		if err := k.removeTable(name); err != nil {
			errs = append(errs, fmt.Errorf("remove nft table %s: %w", name, err))
		}
	}
	if err := errors.Join(k.cleanXT(p), k.cleanFirewalld()); err != nil {
		errs = append(errs, fmt.Errorf("remove rules from the host's firewall: %w", err))
	}
	if err := k.cleanMPTCP(); err != nil {
		errs = append(errs, fmt.Errorf("remove MPTCP endpoints: %w", err))
	}
	if err := k.sysctls.recover(); err != nil {
		errs = append(errs, fmt.Errorf("restore kernel settings: %w", err))
	}
	return errors.Join(errs...)
}

// tables lists the nft tables that may be left behind; those with an owner only on kernels that know none. The guard is
// meant to stay.
func (p Params) tables() []string {
	return []string{p.NFTable, p.NFTable + "_links", p.NFTable + "_dns", p.redirectTable(), p.GuardTable + "_held"}
}

func (k *kernel) cleanRules(family int, log *slog.Logger) error {
	rules, err := k.listRules(family)
	if family == unix.AF_INET6 && noIPv6(err) {
		return nil
	}
	for _, r := range rules {
		if r.Protocol == Protocol {
			log.Info("removed a rule left behind", "rule", r.String())
			err = errors.Join(err, ignoreGone(k.handle.RuleDel(&r)))
		}
	}
	if err != nil {
		return fmt.Errorf("remove rules: %w", err)
	}
	return nil
}

func (k *kernel) cleanRoutes(family int, log *slog.Logger) error {
	filter := &netlink.Route{Table: unix.RT_TABLE_UNSPEC, Protocol: Protocol}
	routes, err := k.listRoutes(family, filter, netlink.RT_FILTER_TABLE|netlink.RT_FILTER_PROTOCOL)
	for _, r := range routes {
		if r.Protocol == Protocol { // the filter of the library looks at one field only
			log.Info("removed a route left behind", "route", r.String())
			err = errors.Join(err, ignoreGone(k.handle.RouteDel(&r)))
		}
	}
	if err != nil {
		return fmt.Errorf("remove routes: %w", err)
	}
	return nil
}
