package runtime

import (
	"encoding/binary"
	"os"
	"os/exec"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gotrace/gotrace/builtins"
	"github.com/gotrace/gotrace/runtime/object"
	"github.com/gotrace/gotrace/runtime/symbols"
	"github.com/gotrace/gotrace/runtime/unwind"
)

// sleeper starts a program that lives until stop is called, and returns its mappings of files.
func sleeper(t *testing.T) (pid int, maps []symbols.Mapping, stop func()) {
	t.Helper()
	cmd := exec.Command("sleep", "1000")
	if err := cmd.Start(); err != nil {
		t.Skip(err)
	}
	stop = sync.OnceFunc(func() { cmd.Process.Kill(); cmd.Wait() })
	t.Cleanup(stop)
	pid = cmd.Process.Pid
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		all := symbols.Executable("/proc", pid)
		maps = slices.DeleteFunc(all, func(m symbols.Mapping) bool { return m.Path == "" || m.Path[0] != '/' })
		if len(maps) >= 3 { // the program, the loader and the C library
			return pid, maps, stop
		}
		if time.Now().After(deadline) {
			t.Fatalf("the program maps %v", maps)
		}
	}
}

// logThatLost returns a log with one record: others were lost.
func logThatLost() *mmapLog {
	r := newFakeRing(32 << 10)
	r.write(unix.PERF_RECORD_LOST, 32, 0)
	binary.NativeEndian.PutUint64(r.mem[os.Getpagesize()+16:], 7)
	return &mmapLog{perfLog: &perfLog{cpus: []perfRing{r.perfRing}}, family: map[int]bool{}}
}

// TestLostMappings loses the records of all mappings of a process but one. Its memory map is
// read again, so that all addresses have names after its end.
func TestLostMappings(t *testing.T) {
	pid, maps, stop := sleeper(t)
	s := &Instance{defs: builtins.NewRegistry(builtins.All()), ending: newEnding(), obj: &object.Object{}}
	s.syms = symbols.NewUser(symbols.View{})
	s.mmaps = logThatLost()
	s.syms.Mapped(pid, maps[0])
	s.noteMappings()
	s.surveys.Wait()
	stop()
	s.syms.Ended(pid)
	for _, m := range maps {
		if f := s.syms.Lookup(pid, m.Start)[0]; f.Module != m.Path {
			t.Errorf("%#x is in %q, want %q", m.Start, f.Module, m.Path)
		}
	}
	if s.mmaps.lost != 7 {
		t.Errorf("%d records were lost, want 7", s.mmaps.lost)
	}
}

// TestLostTables loses the records of all mappings of a process. Its memory map is read again,
// so that programs have tables for it. One whose end was lost is forgotten.
func TestLostTables(t *testing.T) {
	arch := unwind.ByName("amd64")
	pid, _, _ := sleeper(t)
	const ended = 1 << 28 // no process has this ID
	var mu sync.Mutex
	lists := map[int]bool{}
	u := &unwinding{proc: "/proc", log: logThatLost()}
	u.tables = unwind.New(arch, unwind.Memory{
		Rules: make([]byte, unwind.RulesSize),
		Chunk: func() ([]byte, error) { return make([]byte, unwind.ChunkSize+unwind.ChunkSlack), nil },
		SetProcess: func(pid int, list uint64) error {
			mu.Lock()
			defer mu.Unlock()
			lists[pid] = list != 0
			return nil
		},
	}, "/proc", nil)
	defer u.tables.Close()
	u.Mapped(ended, symbols.Mapping{Start: 0x1000, End: 0x2000, Path: "/x", Inode: "1", Dev: "00:01"})
	u.note()
	u.tables.Await(pid, time.After(time.Minute))
	u.tables.Flush()
	mu.Lock()
	defer mu.Unlock()
	if !lists[pid] || lists[ended] {
		t.Errorf("lists %v, want one of %d and none of %d", lists, pid, ended)
	}
}
