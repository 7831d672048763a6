// Command bench measures what the yardsticks ask for, beside a control in the same run, and writes tables.
package main

import (
	"flag"
	"fmt"
	"os"
	"time"
)

func main() {
	runTCP()
	program := flag.String("program", "build/mpproxy", "the program")
	wireguard := flag.String("wireguard", "build/wireguard-go", "wireguard-go, to compare with")
	runs := flag.Int("runs", 3, "repetitions")
	length := flag.Duration("length", 4*time.Second, "of each unshaped transfer")
	ours := flag.Bool("only-ours", false, "leave wireguard-go out")
	host := flag.String("reach", "", "only see whether a host answers")
	flag.Parse()
	if *host != "" {
		os.Exit(reach(*host))
	}
	d, err := newDirect()
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	defer d.close()
	for range *runs {
		for i, start := range []func() (*tunnel, error){
			func() (*tunnel, error) { return d.startPortals(*program) },
			func() (*tunnel, error) { return d.startWireGuard(*wireguard) },
		} {
			if *ours && i == 1 {
				break
			}
			t, err := start()
			if err != nil {
				fmt.Println(err)
				return
			}
			for _, direction := range []string{"send", "receive"} {
				r, err := d.measure(t, direction, *length)
				if err != nil {
					fmt.Println(err)
					return
				}
				fmt.Printf("%-14s %-8s %7.0f Mbit/s  %5.2f CPU s/GB (router %5.2f)  RSS %d %d KiB\n", t.name, direction, r.bits/1e6, r.cpu, r.router, r.rss[0], r.rss[1])
			}
			if err := d.stopAll(); err != nil {
				fmt.Println(err)
			}
		}
	}
}
