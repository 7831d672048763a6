package adb

import (
	"bytes"
	"encoding/hex"
	"testing"
)

// TestDatabase: a database by hand from the format's description.
func TestDatabase(t *testing.T) {
	w := NewWriter()
	root := w.Object(w.Text("ab"), Null, w.Int(5), w.Int(1<<28), w.Text("ab"), Null)
	got, err := w.Finish(root)
	if err != nil {
		t.Fatal(err)
	}
	want := "00000000" + "100000e0" + // versions, root: an object at 16
		"026162" + "00" + // the text at 8, padding
		"00000010" + // 1<<28 at 12
		"06000000" + "08000080" + "00000000" + "05000010" + "0c000020" + "08000080" // 6 slots with the count; the last is left out
	if hex.EncodeToString(got) != want {
		t.Errorf("got  %x\nwant %s", got, want)
	}
}

func TestValues(t *testing.T) {
	w := NewWriter()
	for _, tt := range []struct {
		got  Value
		kind Value
	}{
		{w.Int(0), typeInt}, {w.Int(maxPlace), typeInt}, {w.Int(maxPlace + 1), typeInt32}, {w.Int(1<<32 - 1), typeInt32}, {w.Int(1 << 32), typeInt64},
		{w.Blob(make([]byte, 255)), typeBlob8}, {w.Blob(make([]byte, 256)), typeBlob16}, {w.Blob(make([]byte, 65536)), typeBlob32},
		{w.Blob(nil), Null}, {w.Object(), Null}, {w.Object(Null, Null), Null}, {w.Object(Null, w.Int(1)), typeObject},
	} {
		if tt.got>>28 != tt.kind>>28 {
			t.Errorf("value %x, want type %x", tt.got, tt.kind)
		}
	}
}

func TestReservedIsNotShared(t *testing.T) {
	w := NewWriter()
	zeros := w.Blob(make([]byte, 20))
	reserved, at := w.Reserve(20)
	if zeros == reserved {
		t.Fatal("shared")
	}
	w.Patch(at, bytes.Repeat([]byte{7}, 20))
	db, err := w.Finish(Null)
	if err != nil || db[int(zeros&maxPlace)+1] != 0 || db[at] != 7 || db[at+19] != 7 || len(db) != at+20 {
		t.Errorf("%x %v", db, err)
	}
}

func TestContainer(t *testing.T) {
	block, err := Block(BlockADB, make([]byte, 8), []byte("x"))
	if err != nil || len(block) != 16 || block[0] != 13 {
		t.Fatalf("%x %v", block, err)
	}
	file := append(append(Header(SchemaPackage), block...), "rest"...)
	if string(file[:8]) != "ADB.pckg" {
		t.Errorf("%q", file[:8])
	}
	packed, err := Deflate(file)
	if err != nil || string(packed[:4]) != "ADBd" {
		t.Fatalf("%x %v", packed, err)
	}
	plain, err := Inflate(packed)
	if err != nil || !bytes.Equal(plain, file) {
		t.Fatalf("%x %v", plain, err)
	}
	head, payload, rest, err := First(plain)
	if err != nil || len(head) != 24 || len(payload) != 9 || string(rest) != "rest" {
		t.Errorf("%x %x %q %v", head, payload, rest, err)
	}
	for _, bad := range []string{"", "ADB.", "ADB.pckg", "ADB.pckg\x00\x00\x00\x00", "ADB.pckg\xff\xff\xff\x0f........", "ADB.pckg\x0d\x00\x00\x40............"} {
		if _, _, _, err := First([]byte(bad)); err == nil {
			t.Errorf("%q is read", bad)
		}
		if _, err := Inflate([]byte(bad)); err == nil {
			t.Errorf("%q is inflated", bad)
		}
	}
}
