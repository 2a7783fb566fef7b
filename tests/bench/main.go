// Command bench measures what a stack costs: nanoseconds of a program's run by the number
// of frames, for frame pointers, for unwind tables, and for kernel stacks beside a program
// that only calls bpf_get_stack:
//
//	go run ./tests/bench -peer bpftrace
//
// It needs root and gcc. The time is taken from the kernel's statistics, minus that of an
// empty program. It is the least of all rounds.
//
// With -scripts it measures instead how long scripts of many lines take to compile and to
// load. Arguments select shapes by name:
//
//	go run ./tests/bench -scripts sum "counted if"
package main

import (
	"bufio"
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/gotrace/gotrace/runtime/procstat"
)

// source is a program that reads numbers. For each number n it calls work n times, at the
// bottom of 200 frames, or the system call getpgid if it has an argument. Then it answers
// with a line.
const source = `
#include <stdio.h>
#include <unistd.h>
__attribute__((noinline)) void work(void) { __asm__ volatile("" ::: "memory"); }
__attribute__((noinline)) void down(int n) { if (n > 1) down(n - 1); else work(); __asm__ volatile("" ::: "memory"); }
int main(int argc, char **argv) {
	long n;
	while (scanf("%ld", &n) == 1) {
		for (long i = 0; i < n; i++) if (argc > 1) getpgid(0); else down(200);
		puts("");
		fflush(stdout);
	}
	return 0;
}
`

// A round has parts calls of the traced function, and its result is the cheapest part, so
// that other processes of the machine disturb it little.
const (
	parts = 40
	calls = 500 // in a part
)

type bench struct {
	dir         string
	gotrace     string
	peer        []string
	rounds      int
	plain, kept string // the program without and with frame pointers
	frames      []int
	errs        []error
}

func main() {
	b := &bench{frames: []int{5, 10, 20, 50, 127}}
	flag.StringVar(&b.gotrace, "gotrace", "", "the gotrace to measure; the default builds one")
	peer := flag.String("peer", "", "the `command` of bpftrace, to measure it too")
	flag.IntVar(&b.rounds, "rounds", 3, "how often each case is measured")
	scripts := flag.Bool("scripts", false, "measure the compilation of scripts with many lines")
	flag.Parse()
	b.peer = strings.Fields(*peer)
	if err := b.run(*scripts); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func (b *bench) run(scripts bool) (err error) {
	if b.dir, err = os.MkdirTemp("", "gotrace-bench-"); err != nil {
		return err
	}
	defer os.RemoveAll(b.dir)
	if b.gotrace == "" {
		b.gotrace = filepath.Join(b.dir, "gotrace")
		build := exec.Command("go", "build", "-o", b.gotrace, "./cmd/gotrace")
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			return fmt.Errorf("%w\n%s", err, out)
		}
	}
	if scripts {
		b.scripts(flag.Args())
		return nil
	}
	file := filepath.Join(b.dir, "deep.c")
	if err := os.WriteFile(file, []byte(source), 0o600); err != nil {
		return err
	}
	for _, c := range []struct {
		bin  *string
		flag string
	}{{&b.plain, "-fomit-frame-pointer"}, {&b.kept, "-fno-omit-frame-pointer"}} {
		*c.bin = filepath.Join(b.dir, "deep"+c.flag)
		if out, err := exec.Command("gcc", "-O2", "-fno-optimize-sibling-calls", c.flag, "-o", *c.bin, file).CombinedOutput(); err != nil {
			return fmt.Errorf("%w\n%s", err, out)
		}
	}
	stats, err := ebpf.EnableStats(uint32(unix.BPF_STATS_RUN_TIME))
	if err != nil {
		return err
	}
	defer stats.Close()
	b.userStacks()
	b.kernelStacks()
	return errors.Join(b.errs...)
}

// userStacks prints the cost of user stacks by the number of frames.
func (b *bench) userStacks() {
	plain, kept := b.start(b.plain), b.start(b.kept)
	defer plain.stop()
	defer kept.stop()
	probe := func(l *load, body string) string { return fmt.Sprintf("uprobe:%s:work { %s }", l.cmd.Path, body) }
	own := []string{b.gotrace}
	peer := b.peer
	empty, peerEmpty := b.cost(own, probe(plain, ""), plain), 0.0
	if len(peer) > 0 {
		peer = append(peer[:len(peer):len(peer)], "--dwarf-pid", strconv.Itoa(plain.cmd.Process.Pid))
		peerEmpty = b.cost(peer, probe(plain, ""), plain)
	}
	fmt.Printf("user stacks, ns:\n%8s %8s %8s %12s %12s\n", "frames", "fp", "dwarf", "peer ustack", "dw_ustack")
	for _, n := range b.frames {
		fmt.Printf("%8d", n)
		show := func(width int, tool []string, l *load, floor float64, call string) {
			fmt.Printf(" %*.0f", width, b.cost(tool, probe(l, fmt.Sprintf("@["+call+"] = count();", n)), l)-floor)
		}
		show(8, own, kept, empty, "ustack(fp, %d)")
		show(8, own, plain, empty, "ustack(dwarf, %d)")
		if len(peer) > 0 {
			show(12, peer, kept, peerEmpty, "ustack(%d)")
			show(12, peer, plain, peerEmpty, "dw_ustack(%d)")
		}
		fmt.Println()
	}
}

// load is a running program whose source is source.
type load struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

func (b *bench) start(bin string, args ...string) *load {
	l := &load{cmd: exec.Command(bin, args...)}
	var out io.Reader
	var err error
	if l.in, err = l.cmd.StdinPipe(); err == nil {
		if out, err = l.cmd.StdoutPipe(); err == nil {
			err = l.cmd.Start()
		}
	}
	b.fail(err)
	l.out = bufio.NewReader(out)
	return l
}

// fail ends the program because of an error.
func (b *bench) fail(err error) {
	if err != nil {
		os.RemoveAll(b.dir)
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// call makes n calls of the traced function.
func (l *load) call(n int) error {
	fmt.Fprintln(l.in, n)
	_, err := l.out.ReadString('\n')
	return err
}

func (l *load) stop() {
	l.in.Close()
	l.cmd.Wait()
}

// cost returns the nanoseconds that a run of the script's programs takes.
func (b *bench) cost(tool []string, script string, l *load) float64 {
	best := math.Inf(1)
	for range b.rounds {
		ns, err := b.measure(tool, script, l)
		if err != nil {
			b.errs = append(b.errs, fmt.Errorf("%s: %s: %w", tool[0], script, err))
			return math.NaN()
		}
		best = min(best, ns)
	}
	return best
}

// measure does one round.
func (b *bench) measure(tool []string, script string, l *load) (float64, error) {
	cmd := exec.Command(tool[0], append(tool[1:len(tool):len(tool)], "-e", script)...)
	cmd.SysProcAttr = &unix.SysProcAttr{Setpgid: true}
	out, err := os.Create(filepath.Join(b.dir, "output"))
	if err != nil {
		return 0, err
	}
	defer out.Close()
	output := func() []byte {
		text, _ := os.ReadFile(out.Name())
		return text
	}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	group := cmd.Process.Pid
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	defer func() {
		unix.Kill(-group, unix.SIGINT)
		select {
		case <-ended:
		case <-time.After(20 * time.Second):
			unix.Kill(-group, unix.SIGKILL)
			<-ended
		}
	}()
	for late := time.Now().Add(30 * time.Second); !bytes.Contains(output(), []byte("Attached ")); time.Sleep(10 * time.Millisecond) {
		select {
		case err := <-ended:
			ended <- err
			return 0, fmt.Errorf("ended: %v\n%s", err, output())
		default:
		}
		if time.Now().After(late) {
			return 0, fmt.Errorf("not attached\n%s", output())
		}
	}
	// The first calls make the stack known, and the tables are made meanwhile.
	for range 2 {
		if err := l.call(10); err != nil {
			return 0, err
		}
		time.Sleep(300 * time.Millisecond)
	}
	progs, err := programs(group)
	for _, p := range progs {
		defer p.Close()
	}
	if err != nil {
		return 0, err
	}
	return l.measure(progs)
}

// measure returns the nanoseconds of a run of the programs in the cheapest part.
func (l *load) measure(progs []*ebpf.Program) (float64, error) {
	best := math.Inf(1)
	before, err := total(progs)
	for range parts {
		if err != nil {
			return 0, err
		}
		if err := l.call(calls); err != nil {
			return 0, err
		}
		var now ebpf.ProgramStats
		now, err = total(progs)
		runs := now.RunCount - before.RunCount
		if runs < calls {
			return 0, fmt.Errorf("%d runs, want %d", runs, calls)
		}
		best = min(best, float64(now.Runtime-before.Runtime)/float64(runs))
		before = now
	}
	return best, err
}

// total returns the sums of the programs' statistics.
func total(progs []*ebpf.Program) (sum ebpf.ProgramStats, err error) {
	for _, p := range progs {
		s, err := p.Stats()
		if err != nil {
			return sum, err
		}
		sum.Runtime += s.Runtime
		sum.RunCount += s.RunCount
	}
	return sum, nil
}

var progID = regexp.MustCompile(`(?m)^prog_id:\s+(\d+)`)

// programs returns the BPF programs of a group of processes.
func programs(group int) (all []*ebpf.Program, err error) {
	seen := map[string]bool{}
	procs, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range procs {
		stat, ok := procstat.Read(filepath.Dir(path))
		if !ok || stat.Int(procstat.Group) != int64(group) {
			continue
		}
		infos, _ := filepath.Glob(filepath.Dir(path) + "/fdinfo/*")
		for _, path := range infos {
			info, _ := os.ReadFile(path)
			m := progID.FindSubmatch(info)
			if m == nil || seen[string(m[1])] {
				continue
			}
			seen[string(m[1])] = true
			n, _ := strconv.Atoi(string(m[1]))
			p, err := ebpf.NewProgramFromID(ebpf.ProgramID(n))
			if err != nil {
				return all, err
			}
			all = append(all, p)
		}
	}
	return all, nil
}
