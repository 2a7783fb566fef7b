package runtime

import (
	"encoding/binary"
	"runtime"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// TestThreads runs more threads than a thread table has slots. Each sets, changes,
// reads and deletes entries of its own at the same time.
func TestThreads(t *testing.T) {
	s := loadScript(t, `
		begin { @v[tid] = (uint64)tid * 3; @n[tid]++; @n[tid] += 2; @b[tid] = true; @seen = count();
			if (@v[tid] != (uint64)tid * 3 || !has_key(@b, tid)) { @bad = count(); } }
		begin { if (!delete(@v, tid) || delete(@v, tid) || @v[tid] != 0 || has_key(@v, tid)) { @bad = count(); } @n[tid]--; }
	`)
	for _, name := range []string{"@v", "@n", "@b"} {
		if m, err := s.mapByName(name); err != nil || m.Store != "threads" {
			t.Fatalf("%s is not a map of threads (%v)", name, err)
		}
	}
	const threads, rounds = 1500, 5
	tids := make([]uint32, threads)
	set, unset := s.progs["begin_1"], s.progs["begin_2"]
	if set == nil || unset == nil {
		t.Fatal("no programs")
	}
	var ready, done sync.WaitGroup
	half := make(chan bool)
	ready.Add(threads)
	for i := range threads {
		done.Go(func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			tids[i] = uint32(unix.Gettid())
			for round := range rounds {
				if _, err := set.Run(nil); err != nil {
					t.Error(err)
				}
				if round == rounds-1 {
					ready.Done()
					<-half
				}
				if _, err := unset.Run(nil); err != nil {
					t.Error(err)
				}
			}
		})
	}
	ready.Wait()
	v, n, b := s.numbers(t, "@v"), s.numbers(t, "@n"), s.numbers(t, "@b")
	if len(v) != threads || len(n) != threads || len(b) != threads {
		t.Errorf("%d, %d and %d entries for %d threads", len(v), len(n), len(b), threads)
	}
	for _, tid := range tids {
		key := binary.NativeEndian.AppendUint32(nil, tid)
		if v[string(key)] != 3*uint64(tid) || n[string(key)] != 3*rounds-(rounds-1) || b[string(key)] != 1 {
			t.Fatalf("thread %d has %d, %d and %d", tid, v[string(key)], n[string(key)], b[string(key)])
		}
	}
	close(half)
	done.Wait()
	s.want(t, "taken away", "@v", 0, 0)
	s.want(t, "kept", "@n", threads, 2*rounds*threads)
	for _, name := range []string{"@bad", "@seen"} {
		m, _ := s.mapByName(name)
		pairs, err := s.readers[m].Read(nil)
		if err != nil {
			t.Fatal(err)
		}
		count := uint64(0)
		for _, p := range pairs {
			count += binary.NativeEndian.Uint64(p.Value)
		}
		if want := map[string]uint64{"@bad": 0, "@seen": threads * rounds}[name]; count != want {
			t.Errorf("%s: %d, want %d", name, count, want)
		}
	}
	m, _ := s.mapByName("@n")
	if err := s.readers[m].Zero(); err != nil {
		t.Fatal(err)
	}
	s.want(t, "zeroed", "@n", threads, 0)
	if err := s.readers[m].Clear(); err != nil {
		t.Fatal(err)
	}
	s.want(t, "cleared", "@n", 0, 0)
}

// TestThreadsOnly checks which maps are kept by thread: only those in which each
// thread uses only its own entry.
func TestThreadsOnly(t *testing.T) {
	s := loadScript(t, `begin {
		@own[tid] = 1; @other[tid] = 1; @other[pid] = 2; @walked[tid] = 1; @agg[tid] = count(); @text[tid] = comm;
		for ($kv : @walked) { @sum += $kv.1; } @len[tid] = 1; print(len(@len)); @tuple[tid, 1] = 1; @init[tid(init)] = 1; }`)
	var got []string
	for _, m := range s.obj.Maps {
		if m.Store == "threads" {
			got = append(got, m.Name)
		}
	}
	if text := strings.Join(got, " "); text != "@own" {
		t.Errorf("kept by thread: %s", text)
	}
}
