package probes

import "github.com/cilium/ebpf"

// Moment is when the programs of a kind run.
type Moment uint8

const (
	OnEvent  Moment = iota // the kernel runs them where they are attached
	AtBegin                // before any other probe is attached
	AtEnd                  // after all others are detached
	OnSignal               // when this process gets a signal
	AsTest                 // with --test
	AsBench                // with --bench
)

// Ours reports whether the running task is gotrace itself, not what it traces.
func (m Moment) Ours() bool { return m == AtBegin || m == AtEnd || m == OnSignal }

// runByUs completes a kind whose programs the runtime runs itself. They are raw
// tracepoint programs run through BPF_PROG_TEST_RUN, which works from 5.10 on
// and gives them all helpers for tracing. Attach points have no wildcards.
func runByUs(k *Kind) *Kind {
	k.Confine = NotAsked
	k.Expand = expandSelf
	k.Context = func(*Env, *Point) (*Context, error) {
		return &Context{Kind: k, Prog: ebpf.RawTracepoint, Shape: "internal", BareShape: "internal", InTask: true, Stacks: true}, nil
	}
	return k
}

// expandSelf is Expand of the kinds without wildcards.
func expandSelf(_ *Env, p *Point) ([]*Point, error) { return []*Point{p}, nil }
