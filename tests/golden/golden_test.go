package golden

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/gotrace/gotrace/builtins"
	"github.com/gotrace/gotrace/codegen"
	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/probes"
	"github.com/gotrace/gotrace/probes/kernel"
	"github.com/gotrace/gotrace/runtime/object"
	"github.com/gotrace/gotrace/tests/cases"
	"github.com/gotrace/gotrace/tests/irtest"
)

// usualKernel is the kernel of the plain sections: the newest long-term release
// with all kinds of probes. (The frozen 6.18 comes from a machine without
// kprobes.)
const usualKernel = "6.12"

// frozenKernels opens every kernel of tests/kernels, once.
var frozenKernels = sync.OnceValues(func() (map[string]*kernel.Kernel, error) {
	out := map[string]*kernel.Kernel{}
	for _, name := range kernelNames {
		k, err := kernel.Frozen(filepath.Join("..", "kernels", name+".zip"))
		if err != nil {
			return nil, err
		}
		out[name] = k
	}
	return out, nil
})

var kernelNames = []string{"5.10", "6.1", "6.12", "6.18", "7"}

func frozen(t *testing.T) map[string]*kernel.Kernel {
	t.Helper()
	ks, err := frozenKernels()
	if err != nil {
		t.Fatal(err)
	}
	return ks
}

// compiled is the result of compiling a script for one kernel.
type compiled struct {
	errors, warnings   string
	plan, ir, opt, asm string
}

func (c *goldenCase) compile(t *testing.T, k probes.Kernel) compiled {
	t.Helper()
	var out compiled
	var diags source.Diags
	sess := &builtins.Invocation{Params: c.args, Options: c.options, Unsafe: c.unsafe, Warnings: c.warnings, Recorder: c.recorder, Until: c.until}
	obj, err := codegen.Compile(source.NewFile("stdin", c.source), codegen.Request{
		Env:        &probes.Env{Kernel: k, Unsafe: c.unsafe},
		Invocation: sess,
		Config:     settings,
		Dump: func(stage, text string) {
			switch stage {
			case "plan":
				out.plan = text
			case "ir":
				out.ir = text
			case "opt":
				out.opt = text
			case "asm":
				out.asm = text
			}
		},
	}, &diags)
	if err != nil {
		t.Fatalf("%s: %v", c.path, err)
	}
	var b strings.Builder
	for _, d := range diags.All() {
		b.WriteString(d.Render())
	}
	if obj == nil {
		if b.Len() == 0 {
			t.Fatalf("%s: neither an object nor an error", c.path)
		}
		return compiled{errors: b.String()}
	}
	out.warnings = b.String()
	c.checkCodec(t, obj)
	return out
}

// checkCodec checks that encoding and decoding does not change an object.
func (c *goldenCase) checkCodec(t *testing.T, obj *object.Object) {
	t.Helper()
	data := object.Encode(obj)
	again, err := object.Decode(data)
	if err != nil {
		t.Errorf("%s: its object does not decode: %v", c.path, err)
		return
	}
	if want, got := obj.String(), again.String(); want != got {
		t.Errorf("%s: its object decodes to a different one:\n%s", c.path, cases.Difference(want, got))
	}
	if !bytes.Equal(data, object.Encode(again)) {
		t.Errorf("%s: encoded again, its object has different bytes", c.path)
	}
}

func TestGolden(t *testing.T) {
	kernels := frozen(t)
	for _, c := range readCases(t) {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if kernels[c.kernel] == nil {
				t.Fatalf("%s: no frozen kernel %s", c.path, c.kernel)
			}
			usual := c.compile(t, kernels[c.kernel])
			again := c.compile(t, kernels[c.kernel])
			if usual != again {
				t.Errorf("%s: compiled twice, it differs:\n%s", c.path, cases.Difference(usual.asm, again.asm))
			}
			var got []cases.Section
			add := func(name, text string) {
				got = append(got, cases.Section{Name: name, Text: text})
			}
			add("errors", usual.errors)
			add("warnings", usual.warnings)
			add("plan", usual.plan)
			add("ir", usual.ir)
			add("opt", usual.opt)
			add("cost", cost(usual.asm))
			if c.asm {
				add("asm", usual.asm)
			}
			for _, name := range kernelNames {
				if name == c.kernel {
					continue
				}
				other := c.compile(t, kernels[name])
				if other.errors != usual.errors {
					add("errors "+name, other.errors)
					continue
				}
				add("cost "+name, cases.Difference(cost(usual.asm), cost(other.asm)))
				if c.asm && other.asm != usual.asm {
					add("asm "+name, cases.Difference(withoutNumbers(usual.asm), withoutNumbers(other.asm)))
				}
			}
			c.Check(t, got...)
			c.checkText(t, usual.ir)
			c.checkText(t, usual.opt)
		})
	}
}

var progHeader = regexp.MustCompile(`(?m)^prog .*\n`)

// cost returns the size and the stack use of each program from the headers of a
// disassembly.
func cost(asm string) string {
	return strings.Join(progHeader.FindAllString(asm, -1), "")
}

var (
	insnNumber = regexp.MustCompile(`(?m)^ *\d+: `)
	jumpTarget = regexp.MustCompile(`(?m)goto \d+$`)
)

// withoutNumbers removes the numbers of the instructions, so that an added
// instruction does not change all lines after it.
func withoutNumbers(asm string) string {
	return jumpTarget.ReplaceAllString(insnNumber.ReplaceAllString(asm, "\t"), "goto …")
}

// checkText checks that parsing the text form of IR gives the same IR.
func (c *goldenCase) checkText(t *testing.T, text string) {
	t.Helper()
	if text == "" {
		return
	}
	m, err := irtest.Parse(text)
	if err != nil {
		t.Errorf("%s: its IR does not parse: %v", c.path, err)
		return
	}
	if again := m.String(); again != text {
		t.Errorf("%s: its IR changes when its text is parsed:\n%s", c.path, cases.Difference(text, again))
	}
}

// TestExamples compiles every example for every kernel with the features it
// needs.
func TestExamples(t *testing.T) {
	paths, err := filepath.Glob("../../examples/*.bt")
	if err != nil || len(paths) < 12 {
		t.Fatalf("%d examples, %v", len(paths), err)
	}
	kernels := frozen(t)
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range kernelNames {
			t.Run(filepath.Base(path)+"/"+name, func(t *testing.T) {
				t.Parallel()
				if strings.Contains(string(data), "\nkprobe:") && !kernels[name].Has(probes.FeatKprobe) {
					t.Skipf("the frozen %s has no kprobes", name)
				}
				c := &goldenCase{path: path, source: string(data), unsafe: true}
				if got := c.compile(t, kernels[name]); got.errors != "" {
					t.Error(got.errors)
				}
			})
		}
	}
}
