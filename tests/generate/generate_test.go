package generate

import (
	"context"
	_ "embed"
	"errors"
	"flag"
	"fmt"
	"io"
	"iter"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/gotrace/gotrace/builtins"
	"github.com/gotrace/gotrace/codegen"
	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/probes"
	"github.com/gotrace/gotrace/probes/kernel"
	session "github.com/gotrace/gotrace/runtime"
	"github.com/gotrace/gotrace/runtime/object"
	"github.com/gotrace/gotrace/runtime/output"
	"github.com/gotrace/gotrace/tests/golden"
)

var (
	all    = flag.Bool("all", false, "try every program on every kernel, not a sample: it takes hours")
	spread = flag.Bool("spread", false, "try every program, each on one of the kernels: it takes half an hour")
	more   = flag.Int("more", 1, "try `N` times as many programs")
	sample = flag.Int("sample", 0, "number of the `sample` to draw; each number draws others")
	part   = flag.Int("part", -1, "load only this `part` of the sample, 0 to 7; -1: the whole")
	report = flag.Bool("report", false, "list how often the checker gave which reason for refusing a program")
	only   = flag.String("only", "", "try only programs whose text matches this `regexp`, all of them")
)

// A stock is a set of similar programs, of which the tests try a sample.
type stock struct {
	name  string
	every int
	list  func() iter.Seq[program]
}

// place combines every use with every place. The programs are generated one by one,
// since all together would exceed the memory of an emulated machine.
func place(uses []use, places []position) iter.Seq[program] {
	return func(yield func(program) bool) {
		for _, u := range uses {
			for _, p := range places {
				made := p.put(u)
				made.unsafe = u.in.unsafe
				if made.attach != "" && !yield(made) {
					return
				}
			}
		}
	}
}

// few returns the positions for large sets of uses.
func few() []position {
	return []position{
		then("printed", "print(X);"),
		then("variable", "$w = X; print($w);"),
		then("key and value", "@k[X] = X; print(@k);"),
	}
}

var stocks = []stock{
	{"each type in each place", 8, func() iter.Seq[program] { return place(operands(), positions()) }},
	{"each builtin in each place", 10, func() iter.Seq[program] { return place(examples(), positions()) }},
	{"each argument of each builtin", 60, func() iter.Seq[program] { return place(arguments(examples(), operands()), few()) }},
	{"each operator on each two types", 1000, func() iter.Seq[program] { return place(operators(operands()), few()) }},
	{"each builtin and type in each kind of probe", 40, func() iter.Seq[program] {
		return func(yield func(program) bool) {
			for _, u := range append(examples(), operands()...) {
				for p := range place(inKinds(u), few()) {
					if !yield(p) {
						return
					}
				}
			}
		}
	}},
}

// draw returns sample number n of a stock for one of a number of kernels.
func (s stock) draw(n, kernels int) []program {
	every := s.every
	switch {
	case *all:
		every = 1
	case *spread:
		every = kernels
	case testing.Short(): // in emulation
		every = every * 60 / *more
	default:
		every = 3 * every / *more
	}
	n, every = partOf(n, max(1, every))
	pattern := regexp.MustCompile(*only)
	seen := map[string]bool{}
	var list []program
	for p := range s.list() {
		text := p.String()
		if seen[text] || (*only == "" && !drawn(text, n, every)) || !pattern.MatchString(text) {
			continue
		}
		seen[text] = true
		list = append(list, p)
	}
	return list
}

// partOf returns arguments for drawn. Sample n of every is divided into eight parts, and
// with these arguments drawn draws the part that the flag selects.
func partOf(n, every int) (int, int) {
	if *part < 0 {
		return n, every
	}
	return n%every + *part*every, 8 * every
}

// tally counts the results of compiling and running programs.
type tally struct {
	mu       sync.Mutex
	accepted int
	refused  map[string]int
}

func (c *tally) String() string {
	n := 0
	for _, k := range c.refused {
		n += k
	}
	return fmt.Sprintf("%d programs: %d accepted, %d refused by rule", c.accepted+n, c.accepted, n)
}

func (c *tally) log(t *testing.T, name string) {
	t.Logf("%s: %s", name, c)
	if !*report {
		return
	}
	reasons := slices.SortedFunc(maps.Keys(c.refused), func(a, b string) int { return c.refused[b] - c.refused[a] })
	for _, r := range reasons {
		t.Logf("%6d %s", c.refused[r], r)
	}
}

// compile compiles a script and counts the result. An internal error of the
// compiler, or a refusal without a reason, fails the test. The object is nil if
// the script is refused.
func (c *tally) compile(t *testing.T, k probes.Kernel, text string) *object.Object {
	var diags source.Diags
	obj, err := codegen.Compile(source.NewFile("stdin", text), codegen.Request{
		Env:        &probes.Env{Kernel: k, Unsafe: true},
		Invocation: &builtins.Invocation{Unsafe: true, Params: []string{"7"}},
		Verify:     true,
	}, &diags)
	if err != nil {
		t.Errorf("%s%.2000v", text, err)
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if obj != nil {
		c.accepted++
		return obj
	}
	if c.refused == nil {
		c.refused = map[string]int{}
	}
	for _, d := range diags.All() {
		if d.Severity == source.Error {
			c.refused[quoted.ReplaceAllString(d.Msg, "…")]++
			return nil
		}
	}
	t.Errorf("%srefused without a reason", text)
	return nil
}

var quoted = regexp.MustCompile("'[^']*'|\"[^\"]*\"|[0-9]+|[@$][a-z]+")

// each calls f for all programs of list, for up to atOnce of them at a time.
func each(list []program, atOnce int, f func(p program)) {
	var wg sync.WaitGroup
	work := make(chan program)
	for range atOnce {
		wg.Go(func() {
			for p := range work {
				f(p)
			}
		})
	}
	for _, p := range list {
		work <- p
	}
	close(work)
	wg.Wait()
}

// tracepoints is testdata/usdt, the target of USDT probes.
//
//go:embed testdata/usdt
var tracepoints []byte

// inProgramDir creates testdata, with the targets of the scripts with user probes, in a
// temporary directory, and makes that the current directory.
func inProgramDir(t *testing.T) {
	t.Chdir(t.TempDir())
	err := os.Mkdir("testdata", 0o755)
	for name, program := range map[string][]byte{"prog": golden.Program, "usdt": tracepoints} {
		err = errors.Join(err, os.WriteFile(filepath.Join("testdata", name), program, 0o755))
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestCompiles compiles a different sample of programs for each frozen kernel. Every
// program must become an object or be refused with a reason.
func TestCompiles(t *testing.T) {
	paths, err := filepath.Glob("../kernels/*.zip")
	if err != nil || len(paths) == 0 {
		t.Skip("the frozen kernels are not here")
	}
	var kernels []*kernel.Kernel
	for _, path := range paths {
		k, err := kernel.Frozen(path)
		if err != nil {
			t.Fatal(err)
		}
		kernels = append(kernels, k)
	}
	inProgramDir(t)
	for _, s := range stocks {
		var sum tally
		for n, k := range kernels {
			each(s.draw(*sample*len(kernels)+n, len(kernels)), runtime.GOMAXPROCS(0), func(p program) { sum.compile(t, k, p.String()) })
		}
		sum.log(t, s.name)
		if sum.accepted == 0 && *only == "" {
			t.Errorf("%s: not one program was accepted", s.name)
		}
	}
}

// TestLoadsAndEnds loads programs into this kernel, whose verifier must accept them if
// the checker does. Programs that start by themselves run to their end.
func TestLoadsAndEnds(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("loading programs needs root")
	}
	k := kernel.Live()
	inProgramDir(t)
	for _, s := range stocks {
		list := s.draw(*sample+1, 1)
		var sum tally
		var mu sync.Mutex
		ended, lacking := 0, 0
		// The kernel delays the callers that close programs and maps.
		each(list, 4*runtime.GOMAXPROCS(0), func(p program) {
			obj := sum.compile(t, k, p.String())
			if obj == nil {
				return
			}
			ran, err := run(obj, p)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil && ran:
				ended++
			case errors.Is(err, errLacking):
				lacking++
			case err != nil:
				t.Errorf("%s%v", p, err)
			}
		})
		sum.log(t, s.name)
		t.Logf("%s: %d ran and ended, %d need what this kernel lacks", s.name, ended, lacking)
	}
}

// errLacking is the result of a program that needs a feature that this kernel does not
// have.
var errLacking = errors.New("this kernel lacks a feature")

var lacking = regexp.MustCompile(`operation not permitted|the kernel does not offer`)

// run loads obj. It also runs it if it starts by itself, waits for nothing and does no
// harm.
func run(obj *object.Object, p program) (ran bool, err error) {
	waits := slices.ContainsFunc(obj.Programs, func(p *object.Program) bool {
		return slices.ContainsFunc(p.Points, func(at object.Point) bool { return at.Kind != "begin" && at.Kind != "end" })
	})
	ran = p.attach == "begin" && !waits && !p.unsafe
	w := output.NewWriter(io.Discard, output.Full)
	if len(p.body)%2 == 0 {
		return ran, play(obj, output.NewText(w, io.Discard, output.Style{}), ran)
	}
	return ran, play(obj, output.NewJSON(w, output.Style{}), ran)
}

// play loads obj. If start is set, it runs it to its end.
func play(obj *object.Object, sink output.Sink, start bool) error {
	s, err := session.Load(obj, session.Setup{Stderr: io.Discard, Sink: sink})
	switch {
	case err == nil:
	case errors.Is(err, ebpf.ErrNotSupported), lacking.MatchString(err.Error()):
		return errLacking
	default:
		return err
	}
	defer s.Close()
	if !start {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute) // in case it hangs
	defer cancel()
	if _, err := s.Run(ctx); err != nil {
		return fmt.Errorf("running it: %w", err)
	}
	if ctx.Err() != nil {
		return errors.New("it does not end")
	}
	return nil
}

// TestAttachments checks that every kind of probe is tried, at attach points that one
// of the frozen kernels has.
func TestAttachments(t *testing.T) {
	k, err := kernel.Frozen("../kernels/6.12.zip")
	if err != nil {
		t.Skip(err)
	}
	inProgramDir(t)
	for _, kind := range probes.Kinds() {
		if len(attachments[kind.Name]) == 0 {
			t.Errorf("no attach point for %s", kind.Name)
		}
		for _, at := range attachments[kind.Name] {
			var sum tally
			// The frozen kernels hold no security hooks, nor whether they have netfilter programs.
			if sum.compile(t, k, at+" { print(1); }") == nil && kind.Name != "lsm" && kind.Name != "netfilter" {
				t.Errorf("%s: %v", at, sum.refused)
			}
		}
	}
}

// TestExamples checks that every builtin is tried.
func TestExamples(t *testing.T) {
	tried := map[string]bool{}
	for _, u := range examples() {
		tried[u.name] = true
	}
	for _, d := range builtins.All() {
		if !tried[d.Name] {
			t.Errorf("no example of %s uses it", d.Name)
		}
	}
}
