package transport

import (
	"fmt"
	"net/netip"
	"testing"
)

// BenchmarkLoopback sends batches of full-size datagrams and reads them; a batch is 44 datagrams, the most in one message.
func BenchmarkLoopback(b *testing.B) {
	for _, plain := range []bool{false, true} {
		b.Run(fmt.Sprintf("plain=%v", plain), func(b *testing.B) {
			tx := listen(b, Options{Local: netip.AddrPortFrom(loop4, 0), NoOffload: plain})
			rx := listen(b, Options{Local: netip.AddrPortFrom(loop4, 0), NoOffload: plain})
			segs := pattern(repeat(44, 1448)...)
			var batch ReadBatch
			b.SetBytes(44 * 1448)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := tx.WriteBatch(rx.LocalAddr(), loop4, 2, segs); err != nil {
					b.Fatal(err)
				}
				for n := 0; n < len(segs); {
					got, err := rx.ReadBatch(&batch)
					if err != nil {
						b.Fatal(err)
					}
					n += got
				}
			}
		})
	}
}

func TestNoAllocations(t *testing.T) {
	tx := listen(t, Options{Local: netip.AddrPortFrom(loop4, 0)})
	rx := listen(t, Options{})
	to := netip.AddrPortFrom(loop4, rx.LocalAddr().Port())
	segs := pattern(repeat(30, 1000)...)
	var batch ReadBatch
	n := testing.AllocsPerRun(100, func() {
		if _, err := tx.WriteBatch(to, loop4, 1, segs); err != nil {
			t.Fatal(err)
		}
		for n := 0; n < len(segs); {
			got, err := rx.ReadBatch(&batch)
			if err != nil {
				t.Fatal(err)
			}
			n += got
		}
	})
	if n != 0 {
		t.Errorf("%v allocations for a batch", n)
	}
}
