package main

import (
	"fmt"
	"time"
)

const (
	// shareRounds are many and short and alternate, so that whatever else the machine does comes to all alike.
	shareRounds = 16
	shareTime   = 650 * time.Millisecond
)

// shareWay is one way to the target, measured in turn with the others.
type shareWay struct {
	name  string
	proxy bool
}

// proxyShare holds connections through the proxy, made directly and moved by the kernel, against forwarding with NAT: the same
// portals run all the time, and a rule leads the client past their tunnel.
func (b *bench) proxyShare() error {
	d, err := newDirect()
	if err != nil {
		return err
	}
	if err := b.share(d); err != nil {
		return joinClose(fmt.Errorf("%w\n%s", err, d.logs()), d)
	}
	return d.close()
}

func (b *bench) share(d *direct) error {
	if err := d.lay(1); err != nil {
		return err
	}
	if err := d.startOurs(b.program, 0); err != nil {
		return err
	}
	if err := d.startNAT(""); err != nil {
		return err
	}
	if _, err := command("ip", "-n", d.namespace("router"), "rule", "add", "pref", "100", "iif", "lan0", "lookup", "main"); err != nil {
		return err
	}
	end, err := d.serve()
	if err != nil {
		return err
	}
	defer end()
	ways := []shareWay{{"forwarding with NAT", false}, {"direct (splice)", true}}
	if err := d.waitRelayed("connects " + targetAddress + " 0.1 " + proxyAddress); err != nil {
		return err
	}
	section := "Proxy beside forwarding with NAT, in turn"
	for _, verb := range []string{"receive", "send"} {
		var rates, machine [2][]float64
		var own, ratio []float64
		for range shareRounds * b.runs {
			for i, w := range ways {
				words := fmt.Sprintf("%s %s %v", verb, targetAddress, shareTime.Seconds())
				if w.proxy {
					words += " " + proxyAddress
				}
				all, daemons := machineCPU(false), d.daemonsCPU()
				var bytes, seconds float64
				if err := d.ask(words, &bytes, &seconds); err != nil {
					return err
				}
				rates[i] = append(rates[i], bytes*8/seconds/1e6)
				machine[i] = append(machine[i], (machineCPU(false)-all)/bytes*1e9)
				if w.proxy {
					own = append(own, (d.daemonsCPU()-daemons)/bytes*1e9)
				}
			}
			last := len(rates[0]) - 1
			ratio = append(ratio, rates[1][last]/rates[0][last])
		}
		way := map[string]string{"receive": "down", "send": "up"}[verb]
		b.say("%s: %.0f of %.0f Mbit/s, %.2f; machine %.2f and %.2f s/GB, daemons %.2f", way, median(rates[1]), median(rates[0]), median(ratio), median(machine[1]), median(machine[0]), median(own))
		b.add(&row{section: section, what: way + ", rate to forwarding's", unit: "ratio", values: ratio, judge: atLeast, bound: relayShare})
		b.add(&row{section: section, what: way, unit: "Mbit/s", values: rates[1], control: rates[0]})
		b.add(&row{section: section, what: way + ", CPU of the machine", unit: "s/GB", values: machine[1], control: machine[0]})
		b.add(&row{section: section, what: way + ", CPU of the daemons", unit: "s/GB", values: own})
	}
	return nil
}
