package cost

import (
	"slices"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
)

// measuredMap is the name of the map of a measured program.
const measuredMap = "measured"

// Each measurement runs a program with copies of the measured code in a row, and takes
// the mean of the middle half of several runs. The number of copies is small, so that the
// processor's caches are as cold as at an event.
const (
	copies = 20
	runs   = 200
)

// sampleText is the text that measured reads of user memory read.
const sampleText = "/usr/lib/locale"

var sample = [...]byte{'/', 'u', 's', 'r', '/', 'l', 'i', 'b', '/', 'l', 'o', 'c', 'a', 'l', 'e', 0}

// userText returns the address of sampleText in this process.
func userText() int64 { return int64(uintptr(unsafe.Pointer(&sample[0]))) }

// measure measures a row on this machine, in ns.
func (m *Model) measure(r row) (float64, error) {
	if m.clock == 0 {
		var err error
		if m.clock, err = run(row{before: r.before[:0:0]}); err != nil {
			return 0, err
		}
	}
	ns, err := run(r)
	if err != nil {
		return 0, err
	}
	ns = max(ns-m.clock, 0) / copies
	if r.share > 0 {
		ns *= r.share
	}
	return ns, nil
}

// run returns the time from before the first to after the last copy of the code of r.
func run(r row) (float64, error) {
	const took = asm.R9
	code := append(asm.Instructions{}, r.before...)
	code = append(code, asm.FnKtimeGetNs.Call(), asm.Mov.Reg(took, asm.R0))
	for range copies {
		code = append(code, r.op...)
	}
	code = append(code, asm.FnKtimeGetNs.Call(), asm.Sub.Reg(asm.R0, took), asm.Return())
	if r.m != nil {
		k, err := ebpf.NewMap(r.m)
		if err != nil {
			return 0, err
		}
		defer k.Close()
		for i := range code {
			if code[i].Reference() == measuredMap {
				if err := code[i].AssociateMap(k); err != nil {
					return 0, err
				}
			}
		}
	}
	prog, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.RawTracepoint, Instructions: code, License: "GPL"})
	if err != nil {
		return 0, err
	}
	defer prog.Close()
	times := make([]int, runs)
	for i := range times {
		ns, err := prog.Run(&ebpf.RunOptions{})
		if err != nil {
			return 0, err
		}
		times[i] = int(ns)
	}
	slices.Sort(times)
	sum := 0.0
	for _, ns := range times[runs/4 : runs/4*3] {
		sum += float64(ns)
	}
	return sum / (runs / 2), nil
}
