package system

import (
	"errors"
	"fmt"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/userdata"
	nfnetlink "github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// nft puts the whole table in place in one transaction. The same table is left alone while it is whole: to make it anew
// would cost its counters.
func (k *kernel) nft(o NFTable, same bool) (func() error, bool, error) {
	undo := func() error { return k.removeTable(o.Name) }
	if o.Kept {
		undo = nil
	}
	conn, err := k.nftConn(o.Name)
	if err != nil {
		return nil, false, err
	}
	table := &nftables.Table{Name: o.Name, Family: nftables.TableFamilyINet}
	there, err := tableThere(conn, table)
	if err != nil {
		return nil, false, err
	}
	if there && same {
		if whole, err := o.whole(conn); err != nil || whole {
			return undo, false, err
		}
	}
	if o.Owned {
		if there {
			if err := k.removeTable(o.Name); err != nil {
				return nil, false, err
			}
		}
		if conn, err = k.own(o.Name); err != nil {
			return nil, false, err
		}
	}
	if k.owned[o.Name] == nil {
		conn.AddTable(table) // there or not, it can be deleted now: others may be at it too
		conn.DelTable(table)
		conn.AddTable(table)
	}
	o.fill(conn, table)
	return undo, true, conn.Flush()
}

// fill queues all that is in the table.
func (t NFTable) fill(conn *nftables.Conn, table *nftables.Table) {
	for _, c := range t.Chains {
		chain := conn.AddChain(c.netlink(table))
		for _, r := range c.Rules {
			conn.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: r.exprs,
				UserData: userdata.AppendString(nil, userdata.TypeComment, ruleComment)})
		}
	}
}

// whole reports whether the table has all its chains with as many rules as they should have: what each rule says cannot
// be compared, as the kernel gives it back in other words.
func (t NFTable) whole(conn *nftables.Conn) (bool, error) {
	chains, err := conn.ListChainsOfTableFamily(nftables.TableFamilyINet)
	if err != nil {
		return false, fmt.Errorf("list nft chains: %w", err)
	}
	found := 0
	for _, c := range chains {
		if c.Table.Name != t.Name {
			continue
		}
		i := slices.IndexFunc(t.Chains, func(want NFChain) bool { return want.Name == c.Name })
		if i < 0 {
			return false, nil
		}
		rules, err := conn.GetRules(c.Table, c)
		if errors.Is(err, unix.ENOENT) { // it went just now
			return false, nil
		}
		if err != nil {
			return false, fmt.Errorf("list nft rules: %w", err)
		}
		if len(rules) != len(t.Chains[i].Rules) {
			return false, nil
		}
		found++
	}
	return found == len(t.Chains), nil
}

func (c NFChain) netlink(table *nftables.Table) *nftables.Chain {
	if c.Hook == "" {
		return &nftables.Chain{Name: c.Name, Table: table}
	}
	hook := map[string]*nftables.ChainHook{
		"prerouting": nftables.ChainHookPrerouting, "input": nftables.ChainHookInput, "forward": nftables.ChainHookForward,
		"output": nftables.ChainHookOutput, "postrouting": nftables.ChainHookPostrouting,
	}[c.Hook]
	policy := nftables.ChainPolicyAccept
	return &nftables.Chain{Name: c.Name, Table: table, Type: nftables.ChainType(c.Type), Hooknum: hook,
		Priority: nftables.ChainPriorityRef(nftables.ChainPriority(c.Priority)), Policy: &policy}
}

func tableThere(conn *nftables.Conn, table *nftables.Table) (bool, error) {
	tables, err := conn.ListTablesOfFamily(table.Family)
	if err != nil {
		return false, fmt.Errorf("list nft tables: %w", err)
	}
	return slices.ContainsFunc(tables, func(t *nftables.Table) bool { return t.Name == table.Name }), nil
}

func (k *kernel) removeTable(name string) error {
	conn, err := k.nftConn(name)
	if err != nil {
		return err
	}
	defer k.disown(name)
	table := &nftables.Table{Name: name, Family: nftables.TableFamilyINet}
	if there, err := tableThere(conn, table); err != nil || !there {
		return err
	}
	conn.DelTable(table)
	if err := conn.Flush(); !errors.Is(err, unix.ENOENT) {
		return err
	}
	return nil
}

// nftOwner is the socket that owns a table.
type nftOwner struct {
	conn   *nftables.Conn
	socket *nfnetlink.Conn
}

// nftConn returns the connection that may change a table.
func (k *kernel) nftConn(name string) (*nftables.Conn, error) {
	if o := k.owned[name]; o != nil {
		return o.conn, nil
	}
	conn, err := nftables.New()
	if err != nil {
		return nil, fmt.Errorf("open nftables: %w", err)
	}
	return conn, nil
}

// own makes an empty table that belongs to a socket of its own. Where the kernel knows no owners the connection is a
// plain one and there is no table yet.
func (k *kernel) own(name string) (*nftables.Conn, error) {
	k.disown(name)
	o := &nftOwner{}
	var err error
	o.conn, err = nftables.New(nftables.AsLasting(), nftables.WithSockOptions(func(c *nfnetlink.Conn) error {
		o.socket = c
		return nil
	}))
	if err != nil {
		return nil, fmt.Errorf("open nftables: %w", err)
	}
	err = o.create(name)
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EINVAL) {
		o.conn.CloseLasting()
		return k.nftConn(name)
	}
	if err != nil {
		o.conn.CloseLasting()
		return nil, fmt.Errorf("make nft table %s: %w", name, err)
	}
	k.owned[name] = o
	return o.conn, nil
}

// tableOwner is NFT_TABLE_F_OWNER.
const tableOwner = 0x2

// create makes the table with the owner flag, which the library cannot set.
func (o *nftOwner) create(name string) error {
	attributes, err := nfnetlink.MarshalAttributes([]nfnetlink.Attribute{
		{Type: unix.NFTA_TABLE_NAME, Data: append([]byte(name), 0)},
		{Type: unix.NFTA_TABLE_FLAGS, Data: []byte{0, 0, 0, tableOwner}},
	})
	if err != nil {
		return err
	}
	const subsystem = unix.NFNL_SUBSYS_NFTABLES
	batch := []byte{unix.AF_UNSPEC, unix.NFNETLINK_V0, 0, subsystem}
	sent, err := o.socket.SendMessages([]nfnetlink.Message{
		{Header: nfnetlink.Header{Type: unix.NFNL_MSG_BATCH_BEGIN, Flags: nfnetlink.Request}, Data: batch},
		{Header: nfnetlink.Header{Type: subsystem<<8 | unix.NFT_MSG_NEWTABLE, Flags: nfnetlink.Request | nfnetlink.Create | nfnetlink.Acknowledge},
			Data: append([]byte{unix.NFPROTO_INET, unix.NFNETLINK_V0, 0, 0}, attributes...)},
		{Header: nfnetlink.Header{Type: unix.NFNL_MSG_BATCH_END, Flags: nfnetlink.Request}, Data: batch},
	})
	if err != nil || len(sent) == 0 {
		return err
	}
	_, err = o.socket.Receive() // the acknowledgement, or the error
	return err
}

// disown closes the socket that owns a table; the table goes with it.
func (k *kernel) disown(name string) {
	if o := k.owned[name]; o != nil {
		o.conn.CloseLasting()
		delete(k.owned, name)
	}
}

// hasTable reports whether there is a table of this name.
func (k *kernel) hasTable(name string) (bool, error) {
	conn, err := k.nftConn(name)
	if err != nil {
		return false, err
	}
	return tableThere(conn, &nftables.Table{Name: name, Family: nftables.TableFamilyINet})
}
