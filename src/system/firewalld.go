package system

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
)

// firewalldZone is the zone of firewalld that stops nothing: what a peer may do is decided by our own nft table.
const firewalldZone = "trusted"

// FirewalldZone puts a device into a zone of firewalld, until firewalld ends.
type FirewalldZone struct{ Zone, Device string }

// Command implements Object.
func (o FirewalldZone) Command() string { return "firewall-cmd " + strings.Join(o.args("add"), " ") }
func (o FirewalldZone) key() string     { return "firewalld zone of " + o.Device }
func (o FirewalldZone) args(verb string) []string {
	return []string{"--zone=" + o.Zone, "--" + verb + "-interface=" + o.Device}
}

// FirewalldPort opens a port ("6779/udp") in the zone of a device, until firewalld ends.
type FirewalldPort struct {
	Device, Port string
	Beside       string // the device of a FirewalldZone: while that is in its zone, firewalld has forgotten nothing
}

// Command implements Object.
func (o FirewalldPort) Command() string {
	return fmt.Sprintf("firewall-cmd --zone=$(firewall-cmd --get-zone-of-interface=%s) --add-port=%s", o.Device, o.Port)
}
func (o FirewalldPort) key() string { return "firewalld port " + o.Port }

// firewalldZone and firewalldPort make the objects by firewalld's own program.
func (k *kernel) firewalldZone(o FirewalldZone, same bool) (func() error, bool, error) {
	return k.firewalld(o.args, same && inFirewalld(o.Device))
}

func (k *kernel) firewalldPort(o FirewalldPort, same bool) (func() error, bool, error) {
	var zone []string
	if name, err := firewallCmd("--get-zone-of-interface=" + o.Device); err == nil && name != "" && name != "no zone" {
		zone = []string{"--zone=" + name}
	}
	return k.firewalld(func(verb string) []string { return append(slices.Clone(zone), "--"+verb+"-port="+o.Port) }, same && inFirewalld(o.Beside))
}

// inFirewalld reports that firewalld has rules about a device. To ask its program takes a tenth of a second of work.
func inFirewalld(device string) bool {
	conn, err := nftables.New()
	if err != nil {
		return false
	}
	table := &nftables.Table{Name: "firewalld", Family: nftables.TableFamilyINet}
	rules, err := conn.GetRules(table, &nftables.Chain{Name: "filter_FORWARD_ZONES", Table: table})
	return err == nil && slices.ContainsFunc(rules, func(r *nftables.Rule) bool {
		return slices.ContainsFunc(r.Exprs, func(e expr.Any) bool {
			c, ok := e.(*expr.Cmp)
			return ok && string(bytes.TrimRight(c.Data, "\x00")) == device
		})
	})
}

// firewalld does something that has the verbs query, add and remove, unless it is known to stand. What the administrator
// did already is left alone.
func (k *kernel) firewalld(args func(verb string) []string, stands bool) (undo func() error, made bool, err error) {
	remove := args("remove")
	undo = func() error {
		_, err := firewallCmd(remove...)
		if errors.Is(err, errNoFirewalld) || firewalldGone(err) {
			err = nil
		}
		return errors.Join(err, k.forgetFirewalld(remove))
	}
	if stands {
		return undo, false, nil
	}
	if answer, _ := firewallCmd(args("query")...); answer == "yes" {
		noted, err := k.notedFirewalld()
		if err != nil || !slices.ContainsFunc(noted, func(n []string) bool { return slices.Equal(n, remove) }) {
			return nil, false, err
		}
		return undo, false, nil
	}
	if err := k.noteFirewalld(remove); err != nil {
		return nil, false, err
	}
	if _, err = firewallCmd(args("add")...); err != nil {
		// Our own table holds what peers may do, so that nothing is open: but nothing gets through. The owner is told.
		k.refused = append(k.refused, "firewall-cmd "+strings.Join(args("add"), " "))
		return nil, false, k.forgetFirewalld(remove)
	}
	return undo, true, nil
}

// errNoFirewalld says that there is no program firewall-cmd.
var errNoFirewalld = errors.New("there is no program firewall-cmd")

// firewallCmd runs firewalld's program and returns its answer.
func firewallCmd(args ...string) (string, error) {
	path, err := lookPath("firewall-cmd")
	if err != nil {
		return "", errNoFirewalld
	}
	var out, errs bytes.Buffer
	cmd := exec.Command(path, args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return strings.TrimSpace(out.String()), fmt.Errorf("firewall-cmd %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(errs.String()))
	}
	return strings.TrimSpace(out.String()), nil
}

// firewalldGone reports that firewalld does not run, or does not know what shall be removed.
func firewalldGone(err error) bool {
	return err != nil && (strings.Contains(err.Error(), "not running") || strings.Contains(err.Error(), "NOT_ENABLED") || strings.Contains(err.Error(), "UNKNOWN_INTERFACE"))
}

// What was told to firewalld is noted in a file, over a crash, as the arguments that take it back.

func (k *kernel) firewalldFile() string { return k.sysctls.file + ".firewalld" }

func (k *kernel) notedFirewalld() (list [][]string, err error) {
	data, err := os.ReadFile(k.firewalldFile())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err == nil {
		err = json.Unmarshal(data, &list)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("read what firewalld was told: %w", err), os.Remove(k.firewalldFile()))
	}
	return list, nil
}

func (k *kernel) noteFirewalld(remove []string) error {
	list, err := k.notedFirewalld()
	if err != nil || slices.ContainsFunc(list, func(n []string) bool { return slices.Equal(n, remove) }) {
		return err
	}
	return k.storeFirewalld(append(list, remove))
}

func (k *kernel) forgetFirewalld(remove []string) error {
	list, err := k.notedFirewalld()
	if err != nil || len(list) == 0 {
		return err
	}
	return k.storeFirewalld(slices.DeleteFunc(list, func(n []string) bool { return slices.Equal(n, remove) }))
}

func (k *kernel) storeFirewalld(list [][]string) error {
	if len(list) == 0 {
		return os.Remove(k.firewalldFile())
	}
	data, err := json.Marshal(list)
	if err == nil {
		err = os.MkdirAll(filepath.Dir(k.firewalldFile()), 0o755)
	}
	if err == nil {
		err = os.WriteFile(k.firewalldFile(), data, 0o600)
	}
	if err != nil {
		return fmt.Errorf("note what firewalld was told: %w", err)
	}
	return nil
}

// cleanFirewalld takes back what a killed daemon told firewalld.
func (k *kernel) cleanFirewalld() error {
	list, err := k.notedFirewalld()
	if err != nil || len(list) == 0 {
		return err
	}
	var errs []error
	for _, remove := range list {
		if _, err := firewallCmd(remove...); err != nil && !errors.Is(err, errNoFirewalld) && !firewalldGone(err) {
			errs = append(errs, err)
		}
	}
	return errors.Join(append(errs, k.storeFirewalld(nil))...)
}
