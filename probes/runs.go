package probes

import "github.com/cilium/ebpf"

// Moment is the time at which the programs of a kind run.
type Moment uint8

const (
	OnEvent  Moment = iota // when the kernel reaches the point
	AtBegin                // before any other probe is attached
	AtEnd                  // after all others are detached
	OnSignal               // when this process receives a signal
	AsTest                 // with --test
	AsBench                // with --bench
)

// Ours reports whether the programs run in gotrace itself rather than in a traced task.
func (m Moment) Ours() bool { return m == AtBegin || m == AtEnd || m == OnSignal }

// runByUs completes a kind whose programs the runtime runs itself. They are raw
// tracepoint programs, run by BPF_PROG_TEST_RUN. This works from Linux 5.10 on, and
// they can use all helpers for tracing. Attach points have no wildcards.
//
//go:noinline
func runByUs(k *Kind) *Kind {
	k.Confine = NotAsked
	k.Context = func(*Env, *Point) (*Context, error) {
		return &Context{
			Kind:   k,
			Load:   Load{Type: ebpf.RawTracepoint, Shape: "internal", BareShape: "internal"},
			InTask: true,
			Stacks: true,
		}, nil
	}
	return k
}
