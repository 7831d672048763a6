// Command pack makes the project's packages and feed out of built programs, without OpenWrt's SDK, and checks them.
//
//	pack version
//	pack targets                 the programs that the packages need, as hack/cross.sh calls them
//	pack packages -out DIR       every package in every format, unsigned
//	pack feed -out DIR -keys DIR the signed tree that routers install from
//	pack check -feed DIR         reads it back, with other code, and tries it as far as this machine can
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "pack:", err)
		os.Exit(1)
	}
}

// options are the flags of all commands.
type options struct {
	tree, programs, program, version, out, keys, base, feed, uci string
	epoch                                                        int64
	arches                                                       []string
}

func run(args []string) error {
	if len(args) == 0 {
		return fmt.Errorf("which command: version, targets, packages, feed or check?")
	}
	o, err := parse(args[0], args[1:])
	if err != nil {
		return err
	}
	switch args[0] {
	case "version":
		fmt.Println(o.version)
		return nil
	case "targets":
		return printTargets(o)
	case "packages":
		return writePackages(o)
	case "feed":
		return writeFeed(o)
	case "check":
		return checkFeed(o)
	}
	return fmt.Errorf("no such command: %s", args[0])
}

func parse(command string, args []string) (options, error) {
	var o options
	var arches string
	f := flag.NewFlagSet(command, flag.ContinueOnError)
	f.StringVar(&o.tree, "tree", ".", "the checkout")
	f.StringVar(&o.programs, "programs", "", "where hack/cross.sh left the programs (build/cross)")
	f.StringVar(&o.program, "program", "", "take this one program for every architecture, for tests")
	f.StringVar(&o.version, "version", "", "the packages' version (what openwrt/mpproxy/Makefile says)")
	f.Int64Var(&o.epoch, "epoch", 0, "all times, seconds since 1970 (SOURCE_DATE_EPOCH)")
	f.StringVar(&arches, "arches", "", "only these of OpenWrt's architectures, separated by spaces or commas (all)")
	f.StringVar(&o.out, "out", "", "where to write")
	f.StringVar(&o.keys, "keys", "", "the folder of the keys, outside of the checkout; made if missing")
	f.StringVar(&o.base, "base", "", "the address at which the feed will be")
	f.StringVar(&o.feed, "feed", "", "the feed to check")
	f.StringVar(&o.uci, "uci", "build/tools/smalluci", "what stands for uci in throw-away roots, a static program")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	o.arches = strings.FieldsFunc(arches, func(r rune) bool { return r == ' ' || r == ',' })
	o.base = strings.TrimRight(o.base, "/")
	if o.programs == "" {
		o.programs = filepath.Join(o.tree, "build", "cross")
	}
	return o, o.defaults()
}

// defaults finds what was not given.
func (o *options) defaults() (err error) {
	if o.version == "" {
		if o.version, err = treeVersion(o.tree); err != nil {
			return err
		}
	}
	if text := os.Getenv("SOURCE_DATE_EPOCH"); o.epoch == 0 && text != "" {
		if o.epoch, err = strconv.ParseInt(text, 10, 64); err != nil {
			return fmt.Errorf("read SOURCE_DATE_EPOCH: %w", err)
		}
	}
	return nil
}
