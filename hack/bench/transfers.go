package main

import (
	"fmt"
	"os"
	"os/exec"
)

// serve starts the target's end of TCP transfers; stop ends it.
func (d *direct) serve() (stop func(), err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := d.inside("target", self)
	cmd.Env = append(os.Environ(), tcpVariable+"=serve")
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }, nil
}

// ask runs the client's program and reads its answer.
func (d *direct) ask(words string, into ...any) error {
	cmd, err := d.client(words)
	if err != nil {
		return err
	}
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("%s: %w", words, err)
	}
	_, err = fmt.Sscan(string(out), into...)
	return err
}

func (d *direct) client(words string) (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := d.inside("client", self)
	cmd.Env = append(os.Environ(), tcpVariable+"="+words)
	cmd.Stderr = os.Stderr
	return cmd, nil
}
