package attach

import (
	"strings"
	"testing"

	"github.com/gotrace/gotrace/builtins"
	"github.com/gotrace/gotrace/lang/config"
	"github.com/gotrace/gotrace/lang/parse"
	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/probes"
	"github.com/gotrace/gotrace/probes/kernel"
	"github.com/gotrace/gotrace/tests/cases"
)

// TestResolve resolves attach points on a frozen kernel and compares the results with
// testdata. The positional parameters are read and a:b.
func TestResolve(t *testing.T) {
	k, err := kernel.Frozen("../../tests/kernels/6.12.zip")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range cases.Read(t, "testdata/points.txtar", "missing", "filter").Cases {
		t.Run(c.Name, func(t *testing.T) {
			var diags source.Diags
			p := parse.File(source.NewFile("stdin", c.Input(t, "source.bt")), builtins.NewRegistry(nil), &diags)
			if err := diags.Err(); err != nil {
				t.Fatal(err)
			}
			cfg := config.Default()
			cfg.MaxProbes = 4
			if how := c.Header("missing"); how != "" {
				cfg.MissingProbes = how
			}
			env := &probes.Env{Kernel: k}
			if word := c.Header("filter"); word != "" {
				env.Filter = func(name string) bool { return strings.Contains(name, word) }
			}
			blocks := Resolve(p, env, cfg, []string{"read", "syscalls:sys_enter_write"}, false, &diags)
			var text strings.Builder
			for _, d := range diags.All() {
				text.WriteString(d.Render())
			}
			c.Check(t, cases.Section{Name: "blocks", Text: Text(blocks)}, cases.Section{Name: "diagnostics", Text: text.String()})
		})
	}
}

// TestCountLinks checks that points that share a link count once for the limit of attach
// points.
func TestCountLinks(t *testing.T) {
	kprobe, uprobe := probes.Lookup("kprobe"), probes.Lookup("uprobe")
	one := &probes.Point{Kind: kprobe}
	kernel := &probes.Point{Kind: kprobe, Multi: true}
	a, b := &probes.Point{Kind: uprobe, File: "a", Multi: true}, &probes.Point{Kind: uprobe, File: "b", Multi: true}
	for _, tt := range []struct {
		points []*probes.Point
		want   int
	}{
		{nil, 0},
		{[]*probes.Point{one, one, one}, 3},
		{[]*probes.Point{kernel, kernel, kernel}, 1},
		{[]*probes.Point{kernel, one, kernel}, 2},
		{[]*probes.Point{one, kernel, one, kernel}, 3},
		{[]*probes.Point{a, b, a, b, kernel}, 3},
	} {
		if n := countLinks(tt.points); n != tt.want {
			t.Errorf("%d points count as %d, want %d", len(tt.points), n, tt.want)
		}
	}
}

// unfit is a kernel whose functions all return a struct, to which no program is attached.
type unfit struct{ probes.Kernel }

func (k unfit) FuncProto(module, name string) (*probes.FuncProto, error) {
	p, err := k.Kernel.FuncProto(module, name)
	if err != nil {
		return nil, err
	}
	q := *p
	q.Result = &types.Type{Kind: types.Struct}
	return &q, nil
}

// TestLeftOut checks that a pattern with many points that do not fit names the first of
// them, in the order of the patterns, and counts the others.
func TestLeftOut(t *testing.T) {
	k, err := kernel.Frozen("../../tests/kernels/6.12.zip")
	if err != nil {
		t.Fatal(err)
	}
	var diags source.Diags
	p := parse.File(source.NewFile("stdin", "fentry:vfs_* { exit() } fentry:tcp_* { exit() } fentry:vfs_read, fentry:vfs_write { exit() }"), builtins.NewRegistry(nil), &diags)
	env := &probes.Env{Kernel: unfit{k}}
	Resolve(p, env, config.Default(), nil, false, &diags)
	var named, counted, refused int
	for _, d := range diags.All() {
		switch text := d.Render(); {
		case strings.Contains(text, "ERROR"):
			refused++
		case strings.Contains(text, "more are left out: no program can be attached to them either"):
			counted++
		case strings.Contains(text, " is left out: it returns a struct"):
			named++
		default:
			t.Errorf("unexpected: %s", text)
		}
	}
	if named != 2*maxUnfit || counted != 2 || refused != 2 {
		t.Errorf("%d named, %d counted, %d errors; want %d, 2, 2", named, counted, refused, 2*maxUnfit)
	}
}

// TestMissingProbes checks that missing_probes decides about each attach point that is well
// formed but that the kernel cannot attach a program to, and that a script of which nothing
// is left is an error.
func TestMissingProbes(t *testing.T) {
	k, err := kernel.Frozen("../../tests/kernels/6.12.zip")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		kernel probes.Kernel
		point  string
		says   string
	}{
		{unfit{k}, "fentry:vfs_read", "fentry:vmlinux:vfs_read: it returns a struct"},
		{unfit{k}, "fexit:vfs_read", "fexit:vmlinux:vfs_read: it returns a struct"},
		{noKprobes{k}, "kprobe:vfs_read", "built without kprobes"},
		{noKprobes{k}, "kprobe:vfs_*", "built without kprobes"},
		{noKprobes{k}, "kretprobe:vfs_*", "built without kprobes"},
		{k, "fentry:no_such_function", "No matches for fentry no_such_function."},
		{k, "iter:no_such_iterator", "iter no_such_iterator not available"},
	} {
		for setting, want := range map[string]struct{ severity, skipped string }{
			"error": {"ERROR", ""}, "warn": {"WARNING", ". Skipping."}, "ignore": {"", ""},
		} {
			for _, beside := range []string{"", "begin { exit() } "} {
				var diags source.Diags
				p := parse.File(source.NewFile("stdin", beside+c.point+" { exit() }"), builtins.NewRegistry(nil), &diags)
				cfg := config.Default()
				cfg.MissingProbes = setting
				Resolve(p, &probes.Env{Kernel: c.kernel}, cfg, nil, false, &diags)
				var text strings.Builder
				for _, d := range diags.All() {
					text.WriteString(d.Render())
				}
				got := text.String()
				if (want.severity != "") != strings.Contains(got, c.says) || !strings.Contains(got, want.severity) || !strings.Contains(got, want.skipped) || strings.Contains(got, "..") ||
					strings.Contains(got, removed) != (setting == "warn") {
					t.Errorf("%s%s, missing_probes %s: %q", beside, c.point, setting, got)
				}
				if fails := setting == "error" || beside == ""; diags.HasErrors() != fails {
					t.Errorf("%s%s, missing_probes %s: errors %t", beside, c.point, setting, !fails)
				}
			}
		}
	}
}

// noKprobes is a kernel without kprobes.
type noKprobes struct{ probes.Kernel }

func (k noKprobes) Has(f probes.Feature) bool { return f != probes.FeatKprobe && k.Kernel.Has(f) }
