package runtime

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/cilium/ebpf/asm"

	"github.com/gotrace/gotrace/lang/source"
)

// TestRefusalsInWords has the verifier refuse programs, and checks the error,
// at the line of the instruction.
func TestRefusalsInWords(t *testing.T) {
	none := asm.Mov.Imm(asm.R0, 0)
	deep := asm.Instructions{none, asm.StoreMem(asm.RFP, -520, asm.R0, asm.DWord)}
	again := asm.JNE.Imm(asm.R6, 5, "")
	again.Offset = -2
	loop := asm.Instructions{asm.Mov.Imm(asm.R6, 0), none, again}
	for _, c := range []struct {
		name    string
		code    asm.Instructions
		license string
		section string
	}{
		{"endless loop", loop, "GPL", "unbounded-loop"},
		{"stack", deep, "GPL", "invalid-access"},
		{"license", asm.Instructions{asm.FnGetCurrentTask.Call()}, "MIT", "license"},
		{"helper of another kind", asm.Instructions{asm.FnRedirect.Call()}, "GPL", "unknown-function"},
		{"unknown helper", asm.Instructions{asm.BuiltinFunc(9999).Call()}, "GPL", "unknown-function"},
		{"null", asm.Instructions{none, asm.LoadMem(asm.R1, asm.R0, 0, asm.DWord)}, "GPL", "invalid-access"},
		{"uninitialised", asm.Instructions{asm.Mov.Reg(asm.R0, asm.R8)}, "GPL", "invalid-access"},
		{"context", asm.Instructions{asm.StoreMem(asm.R1, 0, asm.R1, asm.DWord), none}, "GPL", "context"},
	} {
		o := newObject(t)
		f := source.NewFile("stdin", c.name+"\nsecond line")
		o.prog(tp, "syscalls", "sys_enter_getppid", c.code...)
		p := o.Programs[0]
		p.License, p.Span = c.license, source.Span{File: f, Start: 0, End: 1}
		for range p.Insns {
			p.Lines = append(p.Lines, source.Span{File: f, Start: len(c.name) + 1, End: len(c.name) + 3})
		}
		s, err := o.load(Setup{})
		if err == nil {
			s.Close()
			t.Errorf("%s: it is loaded", c.name)
			continue
		}
		var list source.DiagError
		if !errors.As(err, &list) || len(list) != 1 {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		d := list[0]
		words, _, section := inWords(d.Msg)
		if section != verifierDoc+"#"+c.section || !strings.Contains(d.Msg, words) || !strings.Contains(d.Hint, section) {
			t.Errorf("%s: %q, hint %q, section %q; want %s", c.name, d.Msg, d.Hint, section, c.section)
		}
		if at := d.Span.File; at != f {
			t.Errorf("%s: it is not at the script", c.name)
		}
	}
}

// TestVerifierDocument checks that each refusal has a section.
func TestVerifierDocument(t *testing.T) {
	text, err := os.ReadFile("../" + verifierDoc)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range refusals {
		if !strings.Contains(string(text), "\n## "+r.name+"\n") {
			t.Errorf("%s has no section %s", verifierDoc, r.name)
		}
		if r.words == "" || len(r.parts) == 0 {
			t.Errorf("%s says nothing", r.name)
		}
	}
}

// TestRecordedRefusals checks messages of various kernels.
func TestRecordedRefusals(t *testing.T) {
	for why, want := range map[string]string{
		"BPF program is too large. Processed 1000001 insn":                    "too-many-instructions",
		"The sequence of 8193 jumps is too complex.":                          "too-many-branches",
		"back-edge from insn 7 to 3":                                          "unbounded-loop",
		"combined stack size of 3 calls is 544. Too large":                    "stack-too-large",
		"the call stack of 9 frames is too deep !":                            "stack-too-large",
		"invalid access to map value, value_size=8 off=8 size=8":              "invalid-access",
		"R2 min value is negative, either use unsigned or 'var &= const'":     "invalid-access",
		"R1 invalid mem access 'map_value_or_null'":                           "invalid-access",
		"cannot call GPL-restricted function from non-GPL compatible program": "license",
		"program of this type cannot use helper bpf_d_path#147":               "unknown-function",
		"unknown func bpf_loop#181":                                           "unknown-function",
		"helper call might sleep in a non-sleepable prog":                     "sleeping",
		"cannot pass map_type 27 into func bpf_map_lookup_elem#1":             "map-kind",
		"invalid bpf_context access off=120 size=8":                           "context",
		"The address of function finish_task_switch cannot be found":          "no-such-function",
		"vfs_read() is not modifiable":                                        "not-replaceable",
		"Attaching fexit/fmod_ret to __noreturn functions is rejected.":       "never-returns",
		"unreachable insn 4":                                                  "internal",
		"something that no kernel says":                                       "",
	} {
		_, _, section := inWords(why)
		if want != "" {
			want = verifierDoc + "#" + want
		}
		if section != want {
			t.Errorf("%q: %q, want %q", why, section, want)
		}
	}
}
