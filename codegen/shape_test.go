package codegen_test

import (
	"strings"
	"testing"

	"github.com/gotrace/gotrace/probes"
	"github.com/gotrace/gotrace/probes/kernel"
)

// TestShape checks properties of the SSA of scripts: which helpers are called and which
// are not, which values are copied and which are read in place.
func TestShape(t *testing.T) {
	kernels := map[string]*kernel.Kernel{}
	for _, c := range []struct {
		name, kernel, text string
		has, not           []string
	}{
		{"strings go straight into the record", "6.12",
			`tracepoint:syscalls:sys_enter_openat { printf("%s\n", str(args.filename, 40)); }`,
			[]string{"probe_read_user_str", "ringbuf_reserve"}, []string{"copy ", "slot"}},
		{"only the used part of a long string is sent", "6.12",
			`tracepoint:syscalls:sys_enter_openat { printf("%s\n", str(args.filename)); }`,
			[]string{"probe_read_user_str", "ringbuf_output"}, []string{"copy ", "zero ", "ringbuf_reserve"}},
		{"integers in maps are added to atomically", "6.12",
			`begin { @x[1] += 2; @y++; }`,
			[]string{"atomicadd64", "map_update_elem"}, nil},
		{"values that are used are added to atomically, if the kernel can", "6.12",
			`begin { $a = @x++; $b = ++@y; @z = $a + $b; }`,
			[]string{"= fetchadd64"}, []string{"atomicadd64"}},
		{"bits in maps are changed atomically, if the kernel can", "6.12",
			`begin { @a |= 1; @b = @b & 6 & 3; @c[1] = 5 ^ @c[1]; }`,
			[]string{"atomicor64", "atomicand64", "atomicxor64"}, nil},
		{"otherwise maps are read and written", "5.10",
			`begin { @a |= 1; @b = @b & 6 & 3; $c = @c++; print($c); }`,
			[]string{" or ", " and ", "atomicadd64"}, []string{"atomicor64", "atomicand64", "fetchadd64"}},
		{"other changes read and write the map", "6.12",
			`begin { @a = @b | 1; @b = @a | @a; @c = (@c + 1) | 2; @d *= 2; }`,
			nil, []string{"atomic"}},
		{"a map without keys needs no helper", "6.12",
			`begin { @x = 1; @y = @x; @x++; }`,
			[]string{"mapvalue slots"}, []string{"call"}},
		{"comparison with a literal is straight-line code", "6.12",
			`begin /comm == "cat"/ { @ = 1; }`,
			[]string{"load32", "const 7627107"}, []string{"load8", "strncmp"}},
		{"the current task is read by plain loads", "6.12",
			`begin { @ = curtask.real_parent.pid; }`,
			[]string{"get_current_task_btf", "btf = load64", "load32"}, []string{"probe_read"}},
		{"a kernel address is read as its type, if the kernel can", "6.12",
			`kprobe:tcp_sendmsg { @ = ((struct sock *)arg0).__sk_common.skc_daddr; }`,
			[]string{"kfunc bpf_rdonly_cast", "load32"}, []string{"probe_read"}},
		{"a kernel address is otherwise read by the helper", "5.10",
			`kprobe:tcp_sendmsg { @ = ((struct sock *)arg0).__sk_common.skc_daddr; }`,
			[]string{"probe_read_kernel"}, []string{"kfunc"}},
		{"user memory is read by the user helper", "6.12",
			`tracepoint:syscalls:sys_enter_nanosleep { @ = args.rqtp.tv_sec; }`,
			[]string{"probe_read_user"}, []string{"probe_read_kernel"}},
		{"the right side is evaluated only where it matters", "6.12",
			`begin { if (rand > 5 && @x[1] > 3) { @y = 1; } }`,
			[]string{"br v", "map_lookup_elem"}, nil},
		{"a small range stays in its function", "6.12",
			`begin { for ($i : 0..10) { @[$i] = 1; } }`,
			nil, []string{"call loop", "func loop"}},
		{"a large range calls a function", "6.12",
			`begin { for ($i : 0..1000) { @[$i] = 1; } }`,
			[]string{"call loop", "func loop1(int slot)"}, nil},
		{"an aggregation has one value a CPU", "6.12",
			`begin { @ = hist(5); @k[1] = count(); }`,
			[]string{"cpuslots percpu_array", "AT_k percpu_hash"}, nil},
		{"a division that cannot fail is not guarded", "6.12",
			`begin { $x = (uint64)rand; @ = $x / 10; }`,
			[]string{"udiv"}, []string{"atomicadd64"}},
		{"a division that can fail is counted", "6.12",
			`begin { $x = (uint64)rand; @ = 10 / $x; }`,
			[]string{"udiv", "atomicadd64"}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := kernels[c.kernel]
			if k == nil {
				var err error
				if k, err = kernel.Frozen("../tests/kernels/" + c.kernel + ".zip"); err != nil {
					t.Fatal(err)
				}
				kernels[c.kernel] = k
			}
			var got string
			_, diags := compile(t, k, c.text, func(stage, text string) {
				if stage == "ir" {
					got = strings.ReplaceAll(text, ":btf", ": btf")
					got = strings.ReplaceAll(got, ": btf = ", " btf = ")
				}
			})
			if err := diags.Err(); err != nil {
				t.Fatal(err)
			}
			for _, s := range c.has {
				if !strings.Contains(got, s) {
					t.Errorf("no %q in\n%s", s, got)
				}
			}
			for _, s := range c.not {
				if strings.Contains(got, s) {
					t.Errorf("%q in\n%s", s, got)
				}
			}
		})
	}
}

// preempting is a kernel that may preempt a task in a probe.
type preempting struct{ probes.Kernel }

func (k preempting) Has(f probes.Feature) bool { return f == probes.FeatPreempt || k.Kernel.Has(f) }

// TestPreemption checks that aggregations are updated atomically exactly if another
// task may run the same program on the same CPU in between.
func TestPreemption(t *testing.T) {
	frozen, err := kernel.Frozen("../tests/kernels/6.12.zip")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, text string
		kernel     probes.Kernel
		atomic     bool
	}{
		{"preempted", `rawtracepoint:sched_switch { @[1] = count(); @h[1] = hist(args.preempt); }`, preempting{frozen}, true},
		{"never preempted", `rawtracepoint:sched_switch { @[1] = count(); @h[1] = hist(args.preempt); }`, frozen, false},
		{"the probe forbids it", `tracepoint:sched:sched_switch { @[1] = count(); }`, preempting{frozen}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got string
			_, diags := compile(t, c.kernel, c.text, func(stage, text string) {
				if stage == "ir" {
					got = text
				}
			})
			if err := diags.Err(); err != nil {
				t.Fatal(err)
			}
			_, code, _ := strings.Cut(got, "prog ")
			counted := 0 // the full map is counted atomically in any case
			for _, line := range strings.Split(code, "\n") {
				if strings.Contains(line, "mapvalue sites") {
					counted++
				}
			}
			if atomics := strings.Count(code, "atomicadd64"); (atomics > counted) != c.atomic {
				t.Errorf("%d atomic additions, %d of them to counters of sites; want others: %v\n%s", atomics, counted, c.atomic, got)
			}
		})
	}
}
