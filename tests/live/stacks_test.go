package live

import (
	"fmt"
	"strings"
	"testing"
)

// TestDistinctStacks counts by user stack, with so many stacks that some of their
// hashes collide in the kernel's map. Each stack must have a separate, exact count.
func TestDistinctStacks(t *testing.T) {
	for _, n := range []int{1, 1024, 20000} {
		if n > 1024 && testing.Short() && release().less(version{6, 1}) {
			n = 8000
		}
		for _, stack := range []string{"ustack(raw)", "ustack(raw, 30)"} {
			if n > 1024 && stack != "ustack(raw)" {
				continue
			}
			r := trace(t, "-c", fmt.Sprintf("%s stacks %d 2", *work, n), "-e", fmt.Sprintf(
				`config = { max_map_keys=100000 } tracepoint:syscalls:sys_enter_getpgid /pid == cpid/ { @[%s] = count(); }`, stack))
			counts, stacks := map[string]int{}, map[string]bool{}
			for _, entry := range strings.Split(r.stdout, "@[")[1:] {
				frames, count, _ := strings.Cut(entry, "]:")
				if len(strings.Fields(frames)) < 18 {
					t.Errorf("%s: a stack of %d frames", stack, len(strings.Fields(frames)))
				}
				stacks[frames] = true
				counts[strings.TrimSpace(count)]++
			}
			want := map[string]int{}
			for i := range n {
				want[fmt.Sprint(i%3*2+2)]++
			}
			if len(stacks) != n || fmt.Sprint(counts) != fmt.Sprint(want) {
				t.Errorf("%s: %d stacks, their counts %v; want %d, %v\n%s", stack, len(stacks), counts, n, want, r.stderr)
			}
			if !*peer {
				r.quiet(t)
			}
		}
	}
}

// TestKernelStacks counts kernel events by stack. The counts must add up to the
// number of events, and no key may be empty.
func TestKernelStacks(t *testing.T) {
	r := trace(t, "-c", *work+" fork 50", "-e",
		`config = { max_map_keys=100000 } tracepoint:kmem:kmem_cache_alloc,tracepoint:kmem:kmem_cache_free /comm == "gtwork"/ { @a[kstack(raw)] = count(); @n = count(); }`)
	r.quietButMissed(t) // skipped events are in neither count
	before, all, _ := strings.Cut(r.stdout, "@n: ")
	var sum, n, stacks int
	for _, entry := range strings.Split(before, "@a[")[1:] {
		frames, count, _ := strings.Cut(entry, "]:")
		var c int
		fmt.Sscan(count, &c)
		if len(strings.Fields(frames)) == 0 {
			t.Errorf("%d events have no stack", c)
		}
		sum += c
		stacks++
	}
	fmt.Sscan(all, &n)
	if sum != n || n == 0 || stacks < 50 {
		t.Errorf("%d stacks with %d events, want %d", stacks, sum, n)
	}
}

// TestPreemptedStacks takes stacks in two threads of a CPU, one of which preempts the other in
// the middle of a program. Each stack must be that of its thread.
func TestPreemptedStacks(t *testing.T) {
	const n = 1000
	r := trace(t, "-c", fmt.Sprintf("%s preempt %d", *work, n), "-e", fmt.Sprintf(
		`uprobe:%s:preempt_mark { @[arg0, len(ustack(raw)) - arg0 * 20, ustack(perf, 3)] = count(); }`, *work))
	entries := strings.Split(r.stdout, "@[")[1:]
	depths := map[string]bool{}
	for _, entry := range entries {
		key, count, _ := strings.Cut(entry, "]:")
		parts := strings.SplitN(key, ", ", 3)
		if strings.TrimSpace(count) != fmt.Sprint(n) || strings.Count(entry, "preempt_down") != 2 {
			t.Errorf("a wrong stack or count: %s", entry)
		}
		if len(parts) == 3 {
			depths[parts[1]] = true
		}
	}
	if len(entries) != 2 || len(depths) != 1 {
		t.Errorf("%d keys with %d depths, want 2 with 1:\n%s%s", len(entries), len(depths), r.stdout, r.stderr)
	}
}
