package handshake

import (
	"bytes"
	"encoding/hex"
	"errors"
	"reflect"
	"strings"
	"testing"

	"mpproxy/src/engine/session"
)

func sampleRequest() request {
	return request{suites: bothSuites, rekey: 0x0102, instance: Instance{9, 8}, attempt: 3, token: []byte("tok")}
}

const (
	sampleRequestHex = "01020102" + "02080000000000000102" + "030c090800000000000000000003" + "0403746f6b"
	sampleAnswerHex  = "010100" + "02080000000000000102" + "030101" + "040101"
)

func unhex(text string) []byte {
	b, err := hex.DecodeString(text)
	if err != nil {
		panic(err)
	}
	return b
}

func TestRequestGolden(t *testing.T) {
	want := unhex(sampleRequestHex)
	if got := sampleRequest().append(nil); !bytes.Equal(got, want) {
		t.Errorf("appended %x", got)
	}
	got, err := parseRequest(append([]byte{99, 2, 1, 1}, want...))
	if err != nil || !reflect.DeepEqual(got, sampleRequest()) {
		t.Errorf("parsed %+v, %v", got, err)
	}
}

func TestAnswerGolden(t *testing.T) {
	a := answer{session: 0x0102, suite: session.AES256GCM, rekey: true}
	want := unhex(sampleAnswerHex)
	if got := a.append(nil); !bytes.Equal(got, want) {
		t.Errorf("appended %x", got)
	}
	if got, err := parseAnswer(append([]byte{99, 0}, want...)); err != nil || got != a {
		t.Errorf("parsed %+v, %v", got, err)
	}
	refusal := answer{status: StatusFull, text: strings.Repeat("x", 300), session: 7}
	got, err := parseAnswer(refusal.append(nil))
	if err != nil || got.status != StatusFull || len(got.text) != MaxTextBytes || got.session != 0 {
		t.Errorf("refusal %+v, %v", got, err)
	}
}

func TestPayloadsRefused(t *testing.T) {
	for _, text := range []string{"01", "0103", "020101", "0302ffff", "0441" + strings.Repeat("00", 65)} {
		if _, err := parseRequest(unhex(text)); !errors.Is(err, ErrPayload) {
			t.Errorf("request %s: %v", text, err)
		}
	}
	for _, text := range []string{"", "01", "0100", "010100", "0101000201ff", "01010002080000000000000000", sampleAnswerHex + "0302", sampleAnswerHex + "03020101", sampleAnswerHex + "0400"} {
		if _, err := parseAnswer(unhex(text)); !errors.Is(err, ErrPayload) {
			t.Errorf("answer %s: %v", text, err)
		}
	}
}

func TestPrintable(t *testing.T) {
	if got := printable([]byte("a\x1b[2Jb\nc\xffd\u0085 \u00e4")); got != "a?[2Jb?c?d? \u00e4" {
		t.Errorf("%q", got)
	}
}

func FuzzPayloads(f *testing.F) {
	f.Add(unhex(sampleRequestHex))
	f.Add(unhex(sampleAnswerHex))
	f.Fuzz(func(t *testing.T, b []byte) {
		if q, err := parseRequest(b); err == nil {
			again, err := parseRequest(q.append(nil))
			if len(q.token) == 0 {
				q.token = again.token
			}
			if err != nil || len(again.suites) != len(q.suites) || !reflect.DeepEqual(again.token, q.token) || again.rekey != q.rekey || again.attempt != q.attempt {
				t.Fatalf("%x: %+v became %+v, %v", b, q, again, err)
			}
		}
		if a, err := parseAnswer(b); err == nil && a.status == StatusOK {
			a.text = ""
			if again, err := parseAnswer(a.append(nil)); err != nil || again != a {
				t.Fatalf("%x: %+v became %+v, %v", b, a, again, err)
			}
		}
	})
}
