package system

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/google/nftables"
)

// baseChain is a table and base chain that iptables-nft makes when it is first used, and never takes away.
type baseChain struct {
	IPv6  bool   `json:"ipv6"`
	Table string `json:"table"`
	Chain string `json:"chain"`
}

// chainsFile is where made base chains are noted, over a crash.
func (k *kernel) chainsFile() string { return k.sysctls.file + ".chains" }

func (k *kernel) notedChains() (list []baseChain, err error) {
	data, err := os.ReadFile(k.chainsFile())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err == nil {
		err = json.Unmarshal(data, &list)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("read which chains were made: %w", err), os.Remove(k.chainsFile()))
	}
	return list, nil
}

// noteBaseChain notes, before it happens, that a base chain is about to be made.
func (k *kernel) noteBaseChain(o XTChain) error {
	b := baseChain{o.IPv6, o.Table, o.From}
	if o.Backend != xtNFT {
		return nil
	}
	if there, err := b.there(); err != nil || there {
		return err
	}
	list, err := k.notedChains()
	if err != nil || slices.Contains(list, b) {
		return err
	}
	data, err := json.Marshal(append(list, b))
	if err == nil {
		err = os.MkdirAll(filepath.Dir(k.chainsFile()), 0o755)
	}
	if err == nil {
		err = os.WriteFile(k.chainsFile(), data, 0o600)
	}
	if err != nil {
		return fmt.Errorf("note a chain that will be made: %w", err)
	}
	return nil
}

func (b baseChain) table() *nftables.Table {
	if b.IPv6 {
		return &nftables.Table{Name: b.Table, Family: nftables.TableFamilyIPv6}
	}
	return &nftables.Table{Name: b.Table, Family: nftables.TableFamilyIPv4}
}

// find returns the chain, and all chains of its table.
func (b baseChain) find(conn *nftables.Conn) (found *nftables.Chain, beside int, err error) {
	want := b.table()
	chains, err := conn.ListChainsOfTableFamily(want.Family)
	if err != nil {
		return nil, 0, fmt.Errorf("list nft chains: %w", err)
	}
	for _, c := range chains {
		switch {
		case c.Table.Name != want.Name:
		case c.Name == b.Chain:
			found = c
		default:
			beside++
		}
	}
	return found, beside, nil
}

func (b baseChain) there() (bool, error) {
	conn, err := nftables.New()
	if err != nil {
		return false, fmt.Errorf("open nftables: %w", err)
	}
	c, _, err := b.find(conn)
	return c != nil, err
}

// dropBaseChains removes the noted base chains that nobody uses; the others stay noted.
func (k *kernel) dropBaseChains() error {
	list, err := k.notedChains()
	if err != nil || len(list) == 0 {
		return err
	}
	var errs []error
	var left []baseChain
	for _, b := range list {
		gone, err := b.drop()
		errs = append(errs, err)
		if !gone {
			left = append(left, b)
		}
	}
	if len(left) == 0 {
		return errors.Join(append(errs, os.Remove(k.chainsFile()))...)
	}
	data, err := json.Marshal(left)
	if err == nil {
		err = os.WriteFile(k.chainsFile(), data, 0o600)
	}
	return errors.Join(append(errs, err)...)
}

// drop removes the base chain if it has no rules and does nothing, and its table if it is empty then.
func (b baseChain) drop() (gone bool, err error) {
	conn, err := nftables.New()
	if err != nil {
		return false, fmt.Errorf("open nftables: %w", err)
	}
	c, beside, err := b.find(conn)
	if err != nil || c == nil {
		return err == nil, err
	}
	rules, err := conn.GetRules(c.Table, c)
	if err != nil || len(rules) > 0 || c.Policy != nil && *c.Policy == nftables.ChainPolicyDrop {
		return false, err
	}
	conn.DelChain(c)
	if beside == 0 {
		conn.DelTable(c.Table)
	}
	return true, conn.Flush()
}
