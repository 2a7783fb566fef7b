package codegen_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/gotrace/gotrace/builtins"
	"github.com/gotrace/gotrace/codegen"
	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/ast"
	"github.com/gotrace/gotrace/lang/config"
	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/probes"
	"github.com/gotrace/gotrace/probes/kernel"
	"github.com/gotrace/gotrace/runtime/object"
	"github.com/gotrace/gotrace/runtime/unwind"
	"github.com/gotrace/gotrace/tests/cases"
	"github.com/gotrace/gotrace/tests/irtest"
)

// compile compiles text for k. The object is nil if diags has errors.
func compile(t *testing.T, k probes.Kernel, text string, dump func(stage, text string)) (*object.Object, *source.Diags) {
	t.Helper()
	diags := &source.Diags{}
	req := request(k, nil)
	req.Dump = dump
	obj, err := codegen.Compile(source.NewFile("stdin", text), req, diags)
	if err != nil {
		t.Fatalf("%s\n%v", text, err)
	}
	return obj, diags
}

// request returns a request for a kernel with the default settings. If change is not
// nil, it is applied to the settings.
func request(k probes.Kernel, change func(*config.Config)) codegen.Request {
	return codegen.Request{
		Env:        &probes.Env{Kernel: k, Unsafe: true},
		Invocation: &builtins.Invocation{Unsafe: true},
		Config: func(*ast.Program, *source.Diags) *config.Config {
			cfg := &config.Config{
				MaxStrlen: 1024, MaxMapKeys: 4096, License: "GPL", MaxProbes: 1024, MaxBPFProgs: 1024,
				StackMode: "bpftrace", StrTruncTrailer: "..", OnStackLimit: 512, MissingProbes: "error",
			}
			if change != nil {
				change(cfg)
			}
			return cfg
		},
	}
}

// load has the kernel's verifier check every program of obj.
func load(obj *object.Object) error {
	coll, err := collection(obj)
	if err == nil {
		coll.Close()
	}
	return err
}

// collection loads obj into the kernel.
func collection(obj *object.Object) (*ebpf.Collection, error) {
	spec := obj.Spec()
	if m := spec.Maps[unwind.ChunksMap]; m != nil {
		m.InnerMap = &ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: unwind.ChunkSize + unwind.ChunkSlack, MaxEntries: 1}
	}
	have := map[string]*ebpf.Map{}
	for name, m := range spec.Maps {
		switch {
		case m.Type == ebpf.RingBuf:
			m.MaxEntries = 1 << 16
		case m.Type == ebpf.ArrayOfMaps:
			m.InnerMap = &ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: unwind.ChunkSize + unwind.ChunkSlack, MaxEntries: 1, Flags: unix.BPF_F_MMAPABLE}
		case name == object.RodataMap:
			rodata, err := ebpf.NewMap(m)
			if err != nil {
				return nil, err
			}
			defer rodata.Close()
			if err := rodata.Freeze(); err != nil {
				return nil, err
			}
			have[name] = rodata
		}
	}
	coll, err := ebpf.NewCollectionWithOptions(spec, ebpf.CollectionOptions{
		MapReplacements: have, Programs: ebpf.ProgramOptions{LogSizeStart: 1 << 22},
	})
	if err != nil {
		var ve *ebpf.VerifierError
		if errors.As(err, &ve) {
			log := strings.Join(ve.Log, "\n")
			if len(log) > 6000 {
				log = "…" + log[len(log)-6000:]
			}
			return nil, fmt.Errorf("%w\n%s", err, log)
		}
		return nil, err
	}
	return coll, nil
}

// TestLoads compiles the examples of every builtin and the scripts of
// testdata/load.txtar, and checks that the verifier of this kernel accepts them.
func TestLoads(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("loading programs needs root")
	}
	k := kernel.Live()
	for _, d := range builtins.All() {
		for i, e := range d.Doc.Examples {
			t.Run(fmt.Sprintf("%s/%d", d.Name, i), func(t *testing.T) { loads(t, k, e) })
		}
	}
	for _, c := range cases.Read(t, "testdata/load.txtar").Cases {
		t.Run(c.Name, func(t *testing.T) { loads(t, k, c.Input(t, "source.bt")) })
	}
}

func loads(t *testing.T, k probes.Kernel, text string) {
	obj, diags := compile(t, k, text, verify(t))
	if obj == nil {
		// This machine may lack its attach points, the frozen kernel has them.
		frozen, err := kernel.Frozen("../tests/kernels/6.12.zip")
		if err != nil {
			t.Fatal(err)
		}
		obj, _ = compile(t, frozen, text, verify(t))
		switch {
		case obj == nil && absent(diags.Err().Error()):
			t.Skip(diags.Err())
		case obj == nil:
			t.Fatal(diags.Err())
		case !onlyKprobes(obj):
			t.Logf("compiled only: %v", diags.Err())
			return
		}
	}
	err := load(obj)
	switch {
	case err == nil:
	case errors.Is(err, unix.EPERM) && !errors.As(err, new(*ebpf.VerifierError)):
		t.Logf("compiled only, this kernel forbids its programs: %v", err)
	case strings.Contains(err.Error(), "helper bpf_probe_write_user"), strings.Contains(err.Error(), "bpf_override_return"):
		t.Logf("compiled only, this kernel is locked down or built without: %v", err)
	default:
		t.Fatalf("%s\n%v", text, err)
	}
}

// verify returns a function for Dump that checks the IR with ir.Verify.
func verify(t *testing.T) func(stage, text string) {
	return func(stage, text string) {
		if stage != "ir" && stage != "opt" {
			return
		}
		m, err := irtest.Parse(text)
		if err == nil {
			err = ir.Verify(m)
		}
		if err != nil {
			t.Errorf("%s: %v\n%s", stage, err, text)
		}
	}
}

// absent reports whether msg is an error about something in the script that this
// machine does not have.
func absent(msg string) bool {
	for _, s := range []string{"does not exist", "No matches for", "Failed to get cgroupid", "Failed to resolve kernel symbol", "Could not resolve variable", "built without kprobes"} {
		if strings.Contains(msg, s) {
			return true
		}
	}
	return false
}

// onlyKprobes reports whether obj's programs load on any machine, since their targets
// are resolved only when they are attached.
func onlyKprobes(obj *object.Object) bool {
	for _, p := range obj.Programs {
		if p.Type != ebpf.Kprobe {
			return false
		}
	}
	return true
}
