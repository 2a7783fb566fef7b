package runtime_test

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/gotrace/gotrace/codegen"
	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/probes"
	"github.com/gotrace/gotrace/probes/kernel"
	"github.com/gotrace/gotrace/runtime"
	"github.com/gotrace/gotrace/runtime/output"
	"github.com/gotrace/gotrace/runtime/value"
	"github.com/gotrace/gotrace/tests/testkit"
)

// results is a sink that collects the values of a script.
type results struct {
	output.Nop
	values []value.Value
	maps   map[string][]value.Entry
	wrong  []string
}

func (r *results) Value(v value.Value) { r.values = append(r.values, v) }

func (r *results) Map(m output.Map) {
	if r.maps == nil {
		r.maps = map[string][]value.Entry{}
	}
	r.maps[m.Name] = m.Entries
}

func (r *results) Lost(n uint64) { r.wrong = append(r.wrong, fmt.Sprintf("%d events lost", n)) }

func (r *results) Message(m output.Message) { r.wrong = append(r.wrong, m.Text) }

// trace runs a script until ctx is done. It calls attached once all probes are
// attached.
func trace(ctx context.Context, script string, attached func()) (*results, error) {
	var diags source.Diags
	obj, err := codegen.Compile(source.NewFile("script", script), codegen.Request{
		Env: &probes.Env{Kernel: kernel.Live()},
	}, &diags)
	if err != nil {
		return nil, err
	}
	if obj == nil {
		return nil, source.DiagError(diags.All())
	}
	r := &results{}
	s, err := runtime.Load(obj, runtime.Setup{Sink: r, Attached: attached})
	if err != nil {
		return nil, err
	}
	defer s.Close()
	_, err = s.Run(ctx)
	return r, err
}

// This program compiles a script, runs it for a second and reads its map.
func Example() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	r, err := trace(ctx, `tracepoint:syscalls:sys_enter_read { @reads[comm] = count(); }`, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, e := range r.maps["@reads"] {
		fmt.Println(e.Key.(value.Str).S, e.Value.(value.Uint))
	}
}

// TestLibrary uses the package as another program would: values arrive with their
// types, the context ends the session, and errors point into the script.
func TestLibrary(t *testing.T) {
	testkit.NeedRoot(t)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	script := fmt.Sprintf(`tracepoint:syscalls:sys_enter_getpgid /pid == %d && args.pid >= 1000000/ {
		@n[args.pid, "call"] = count(); @s = stats(args.pid); print((args.pid, pid > 1)); }`, os.Getpid())
	r, err := trace(ctx, script, func() {
		for range 5 {
			unix.Getpgid(1000007)
		}
		cancel() // the caller ends the session
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(r.wrong) != 0 || len(r.values) != 5 {
		t.Fatalf("wrong %q, values %v", r.wrong, r.values)
	}
	const id = value.Int(1000007)
	for _, v := range r.values {
		if d := cmp.Diff(value.Value(value.Tuple{id, value.Bool(true)}), v); d != "" {
			t.Errorf("value (- want, + got):\n%s", d)
		}
	}
	want := map[string][]value.Entry{
		"@n": {{Key: value.Tuple{id, value.Str{S: "call"}}, Value: value.Uint(5)}},
		"@s": {{Value: value.Stats{Count: 5, Avg: id, Total: 5 * id}}},
	}
	if d := cmp.Diff(want, r.maps); d != "" {
		t.Errorf("maps (- want, + got):\n%s", d)
	}

	if _, err := trace(ctx, `tracepoint:syscalls:sys_enter_getpgid { @ = args.nothing; }`, nil); err == nil {
		t.Error("a script with a mistake ran")
	}
}
