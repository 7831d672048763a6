package wire

import (
	"bytes"
	"errors"
	"net/netip"
	"reflect"
	"testing"
)

func sampleConfig() SessionConfig {
	return SessionConfig{
		Address4: netip.MustParsePrefix("10.99.0.2/24"),
		Address6: netip.MustParsePrefix("fd00::2/64"),
		MTU:      1400,
		Peer4:    netip.MustParseAddr("10.99.0.1"),
		Peer6:    netip.MustParseAddr("fd00::1"),
		UpKbit:   20000, DownKbit: 100000, MaxLinks: 3,
		DNS: []netip.Addr{netip.MustParseAddr("9.9.9.9"), netip.MustParseAddr("2620:fe::fe")},
	}
}

const sampleConfigHex = "0105 0a630002 18" + "0211 fd000000000000000000000000000002 40" + "0302 0578" +
	"0404 0a630001" + "0510 fd000000000000000000000000000001" + "0604 09090909" + "0610 262000fe0000000000000000000000fe" +
	"0704 00004e20" + "0804 000186a0" + "0901 03"

func TestSessionConfigGolden(t *testing.T) {
	want := unhex(t, sampleConfigHex)
	config := sampleConfig()
	if got := config.Append(nil); !bytes.Equal(got, want) {
		t.Errorf("appended %x, want %x", got, want)
	}
	for _, b := range [][]byte{want, append([]byte{99, 3, 1, 2, 3}, append(want, 200, 0)...)} {
		if got, err := ParseSessionConfig(b); err != nil || !reflect.DeepEqual(got, config) {
			t.Errorf("parsed %+v, %v", got, err)
		}
	}
	if got, err := ParseSessionConfig(nil); err != nil || !reflect.DeepEqual(got, SessionConfig{}) {
		t.Errorf("empty: %+v, %v", got, err)
	}
}

func TestSessionConfigRefused(t *testing.T) {
	for name, text := range map[string]string{
		"no length":             "01",
		"value too short":       "0105 0a6300",
		"address of wrong size": "0104 0a630002",
		"prefix too long":       "0105 0a630002 21",
		"everything":            "0105 0a630002 00",
		"half of everything":    "0105 0a630002 01",
		"half of IPv6":          "0211 fd000000000000000000000000000002 01",
		"loopback":              "0105 7f000001 18",
		"broadcast":             "0404 ffffffff",
		"unspecified":           "0404 00000000",
		"multicast":             "0404 e0000001",
		"4 in 6":                "0510 00000000000000000000ffff0a630001",
		"MTU too small":         "0302 0100",
		"limit of two bytes":    "0702 0001",
		"no limit at all":       "0800",
		"limits twice":          "0901 03 0901 03",
		"MTU of one byte":       "0301 05",
		"twice":                 "0302 0578 0302 0579",
		"name server of size 5": "0605 0909090909",
	} {
		if got, err := ParseSessionConfig(unhex(t, text)); !errors.Is(err, ErrConfig) || !reflect.DeepEqual(got, SessionConfig{}) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

func TestSessionConfigLeavesOutWhatItCannotSay(t *testing.T) {
	config := SessionConfig{
		Address4: netip.MustParsePrefix("fd00::2/64"), Address6: netip.MustParsePrefix("10.0.0.1/8"),
		MTU: 100, Peer4: netip.MustParseAddr("::1"), Peer6: netip.MustParseAddr("10.0.0.1"),
		DNS: []netip.Addr{{}, netip.IPv4Unspecified()},
	}
	if b := config.Append(nil); len(b) != 0 {
		t.Errorf("%x", b)
	}
	config = SessionConfig{}
	for i := range byte(9) {
		config.DNS = append(config.DNS, netip.AddrFrom4([4]byte{10, 0, 0, i + 1}))
	}
	b := config.Append(nil)
	b = append(b, b...)
	if got, err := ParseSessionConfig(b); err != nil || !reflect.DeepEqual(got.DNS, config.DNS[:MaxDNS]) {
		t.Errorf("%v, %v", got.DNS, err)
	}
}

func FuzzParseSessionConfig(f *testing.F) {
	f.Add(unhex(f, sampleConfigHex))
	f.Add(unhex(f, "0605 0909090909"))
	f.Fuzz(func(t *testing.T, b []byte) {
		config, err := ParseSessionConfig(b)
		if err != nil {
			return
		}
		again := config.Append(nil)
		if len(again) > MaxConfigBytes {
			t.Fatalf("%d bytes", len(again))
		}
		if second, err := ParseSessionConfig(again); err != nil || !reflect.DeepEqual(second, config) {
			t.Fatalf("%x: %+v became %+v, %v", b, config, second, err)
		}
	})
}
