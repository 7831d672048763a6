package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"

	"mpproxy/hack/pack/root"
	"mpproxy/hack/pack/verify"
)

// checkFeed serves the feed on loopback, reads it back and tries it. Counts go to $COUNT, if that names a file.
func checkFeed(o options) error {
	if o.feed == "" {
		return fmt.Errorf("check needs -feed")
	}
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		return fmt.Errorf("check needs a static busybox: apt-get install busybox-static: %w", err)
	}
	scratch, err := os.MkdirTemp("", "mpproxy-root-")
	if err != nil {
		return fmt.Errorf("make scratch folder: %w", err)
	}
	defer os.RemoveAll(scratch)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("serve feed: %w", err)
	}
	defer listener.Close()
	go func() { _ = http.Serve(listener, http.FileServer(http.Dir(o.feed))) }() // ends with the listener

	n := 0
	fresh := func() (*root.Root, error) {
		n++
		return root.New(filepath.Join(scratch, fmt.Sprint(n)), busybox, o.uci)
	}
	r := &verify.Report{Out: os.Stdout}
	url := "http://" + listener.Addr().String()
	r.Feed(&verify.Feed{Dir: o.feed, URL: url}, fresh)
	r.Real(verify.Machine{
		Feed: o.feed, URL: url, Scratch: scratch, Checkout: o.tree,
		Rootfs: os.Getenv("OPENWRT_ROOT"), SDK: os.Getenv("OPENWRT_TREE"), Opkg: os.Getenv("OPKG"), Apk: os.Getenv("APK"),
	})
	for _, what := range r.NotRun {
		fmt.Println("  not run:", what)
	}
	fmt.Printf("%d passed, %d failed, %d skipped\n", r.Passed, r.Failed, len(r.NotRun))
	if name := os.Getenv("COUNT"); name != "" {
		if err := os.WriteFile(name, fmt.Appendf(nil, "%d %d %d\n", r.Passed, r.Failed, len(r.NotRun)), 0o644); err != nil {
			return fmt.Errorf("write counts: %w", err)
		}
	}
	if r.Failed > 0 {
		return fmt.Errorf("%d checks of the feed failed", r.Failed)
	}
	return nil
}
