// Command smalluci stands for OpenWrt's uci in throw-away roots; see package uci.
package main

import (
	"os"

	"mpproxy/hack/pack/uci"
)

func main() { os.Exit(uci.Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }
