//go:build linux && (amd64 || arm64)

package sockmap

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync/atomic"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
)

// behindBytes is how much may have been redirected that is not known to have reached the receiver's queue: enough for
// fast and long paths, little enough for thousands of connections.
const behindBytes = 1 << 20

// flow is what is known of one direction, in memory shared with the program. Every field has one writer.
type flow struct {
	sent      uint64 // the program's: bytes redirected
	passed    uint64 // the program's: bytes passed to the reader
	taken     uint64 // the reader's: bytes of those that it has written on
	confirmed uint64 // the reader's: how many of sent are known to be in the other socket's queue
	ready     uint64 // the reader's: 1 when both sockets are known
	_         [3]uint64
}

// flowBytes is the length of a flow; it is the value of a map.
const flowBytes = int(unsafe.Sizeof(flow{}))

func (f *flow) load(p *uint64) uint64 { return atomic.LoadUint64(p) }

// kernel is the program and its maps.
type kernel struct {
	sockets *ebpf.Map // by the cookie of a socket: the other socket
	index   *ebpf.Map // by the cookie of a socket: the number of its flow
	flows   *ebpf.Map
	memory  []byte // of flows
	program *ebpf.Program
}

func newKernel(pairs int) (k *kernel, err error) {
	k = &kernel{}
	defer func() {
		if err != nil {
			err = errors.Join(err, k.close())
		}
	}()
	n := uint32(2 * pairs)
	if k.sockets, err = ebpf.NewMap(&ebpf.MapSpec{Name: "mpp_sockets", Type: ebpf.SockHash, KeySize: 8, ValueSize: 8, MaxEntries: n}); err != nil {
		return k, fmt.Errorf("make map of sockets: %w", err)
	}
	if k.index, err = ebpf.NewMap(&ebpf.MapSpec{Name: "mpp_index", Type: ebpf.Hash, KeySize: 8, ValueSize: 4, MaxEntries: n}); err != nil {
		return k, fmt.Errorf("make index: %w", err)
	}
	if k.flows, err = ebpf.NewMap(&ebpf.MapSpec{Name: "mpp_flows", Type: ebpf.Array, KeySize: 4, ValueSize: uint32(flowBytes), MaxEntries: n, Flags: mmapable}); err != nil {
		return k, fmt.Errorf("make map of flows: %w", err)
	}
	if k.memory, err = mapMemory(k.flows.FD(), int(n)*flowBytes); err != nil {
		return k, fmt.Errorf("map flows: %w", err)
	}
	k.program, err = ebpf.NewProgram(&ebpf.ProgramSpec{
		Name: "mpp_verdict", Type: ebpf.SkSKB, AttachType: ebpf.AttachSkSKBStreamVerdict, License: "Apache-2.0", Instructions: k.verdict(),
	})
	if err != nil {
		return k, fmt.Errorf("load program: %w", err)
	}
	if err = link.RawAttachProgram(link.RawAttachProgramOptions{Target: k.sockets.FD(), Program: k.program, Attach: ebpf.AttachSkSKBStreamVerdict}); err != nil {
		return k, fmt.Errorf("attach program: %w", err)
	}
	return k, nil
}

// Offsets of flow and of the context.
const (
	offSent, offPassed, offTaken, offConfirmed, offReady = 0, 8, 16, 24, 32
	offLen                                               = 0 // of __sk_buff
)

// verdict is the program: see the package's comment. It runs under the lock of the socket that received.
func (k *kernel) verdict() asm.Instructions {
	return asm.Instructions{
		asm.Mov.Reg(asm.R6, asm.R1),
		asm.FnGetSocketCookie.Call(),
		asm.StoreMem(asm.RFP, -8, asm.R0, asm.DWord),
		asm.LoadMapPtr(asm.R1, k.index.FD()),
		asm.Mov.Reg(asm.R2, asm.RFP),
		asm.Add.Imm(asm.R2, -8),
		asm.FnMapLookupElem.Call(),
		asm.JEq.Imm(asm.R0, 0, "unknown"),
		asm.LoadMem(asm.R1, asm.R0, 0, asm.Word),
		asm.StoreMem(asm.RFP, -12, asm.R1, asm.Word),
		asm.LoadMapPtr(asm.R1, k.flows.FD()),
		asm.Mov.Reg(asm.R2, asm.RFP),
		asm.Add.Imm(asm.R2, -12),
		asm.FnMapLookupElem.Call(),
		asm.JEq.Imm(asm.R0, 0, "unknown"),
		asm.Mov.Reg(asm.R7, asm.R0),
		asm.LoadMem(asm.R8, asm.R6, offLen, asm.Word),
		// The end of a stream can come alone. It has been noted already, and redirected it would break the receiver off.
		asm.JEq.Imm(asm.R8, 0, "drop"),
		// Not before both sockets are known, and not past anything that was passed.
		asm.LoadMem(asm.R1, asm.R7, offReady, asm.DWord),
		asm.JEq.Imm(asm.R1, 0, "pass"),
		asm.LoadMem(asm.R1, asm.R7, offPassed, asm.DWord),
		asm.LoadMem(asm.R2, asm.R7, offTaken, asm.DWord),
		asm.JNE.Reg(asm.R1, asm.R2, "pass"),
		// Not more than the receiver may be behind.
		asm.LoadMem(asm.R1, asm.R7, offSent, asm.DWord),
		asm.LoadMem(asm.R2, asm.R7, offConfirmed, asm.DWord),
		asm.Mov.Reg(asm.R3, asm.R1),
		asm.Sub.Reg(asm.R3, asm.R2),
		asm.JGT.Imm(asm.R3, behindBytes, "pass"),
		asm.Add.Reg(asm.R1, asm.R8),
		asm.StoreMem(asm.R7, offSent, asm.R1, asm.DWord),
		asm.Mov.Reg(asm.R1, asm.R6),
		asm.LoadMapPtr(asm.R2, k.sockets.FD()),
		asm.Mov.Reg(asm.R3, asm.RFP),
		asm.Add.Imm(asm.R3, -8),
		asm.Mov.Imm(asm.R4, 0),
		asm.FnSkRedirectHash.Call(),
		asm.Return(),
		asm.LoadMem(asm.R1, asm.R7, offPassed, asm.DWord).WithSymbol("pass"),
		asm.Add.Reg(asm.R1, asm.R8),
		asm.StoreMem(asm.R7, offPassed, asm.R1, asm.DWord),
		asm.Mov.Imm(asm.R0, 1).WithSymbol("unknown"), // SK_PASS
		asm.Return(),
		asm.Mov.Imm(asm.R0, 0).WithSymbol("drop"), // SK_DROP
		asm.Return(),
	}
}

// flow is the memory of a number.
func (k *kernel) flow(number uint32) *flow {
	return (*flow)(unsafe.Pointer(&k.memory[int(number)*flowBytes]))
}

func (k *kernel) close() error {
	var errs []error
	if k.memory != nil {
		errs = append(errs, unmapMemory(k.memory))
		k.memory = nil
	}
	if k.program != nil {
		errs = append(errs, k.program.Close())
	}
	for _, m := range []*ebpf.Map{k.sockets, k.index, k.flows} {
		if m != nil {
			errs = append(errs, m.Close())
		}
	}
	return errors.Join(errs...)
}

func key(cookie uint64) []byte { return binary.NativeEndian.AppendUint64(nil, cookie) }
