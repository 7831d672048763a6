package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"os"

	"mpproxy/src/config"
)

// maxKeyInput bounds what pubkey reads; a key has 45 bytes.
const maxKeyInput = 4096

func genkey(_ context.Context, c *call) error {
	if f, ok := c.out.(*os.File); ok {
		if info, err := f.Stat(); err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o004 != 0 {
			fmt.Fprintf(c.err, "mpproxy: warning: everybody on this machine can read the file this key goes to; run: chmod 600 on it, or umask 077 before\n")
		}
	}
	key, err := config.NewPrivateKey(rand.Reader)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(c.out, key.Text())
	return err
}

func pubkey(_ context.Context, c *call) error {
	text, err := io.ReadAll(io.LimitReader(c.in, maxKeyInput))
	if err != nil {
		return fmt.Errorf("read private key: %w", err)
	}
	key, err := config.ParseSecretKey(string(text))
	if err != nil {
		return fmt.Errorf("private key on standard input: %w", err)
	}
	public, err := key.Public()
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(c.out, public)
	return err
}
