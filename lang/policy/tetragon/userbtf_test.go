package tetragon

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cilium/ebpf/btf"

	"github.com/gotrace/gotrace/lang/policy"
	"github.com/gotrace/gotrace/lang/source"
)

// programTypes writes a file with the types of a program.
func programTypes(t *testing.T) string {
	t.Helper()
	i32 := &btf.Int{Name: "int", Size: 4, Encoding: btf.Signed}
	u16 := &btf.Int{Name: "unsigned short", Size: 2}
	char := &btf.Int{Name: "char", Size: 1, Encoding: btf.Char}
	inner := &btf.Struct{Name: "inner", Size: 24, Members: []btf.Member{
		{Name: "deep", Type: i32}, {Name: "name", Type: &btf.Array{Index: i32, Type: char, Nelems: 16}, Offset: 32},
		{Name: "flag", Type: i32, Offset: 160, BitfieldSize: 3},
	}}
	outer := &btf.Struct{Name: "outer", Size: 64, Members: []btf.Member{
		{Name: "in", Type: inner, Offset: 64}, {Name: "p", Type: &btf.Pointer{Target: inner}, Offset: 256},
		{Name: "list", Type: &btf.Array{Index: i32, Type: u16, Nelems: 4}, Offset: 320},
		{Name: "text", Type: &btf.Pointer{Target: char}, Offset: 384},
	}}
	b, err := btf.NewBuilder([]btf.Type{outer}, nil)
	if err != nil {
		t.Fatal(err)
	}
	data, err := b.Marshal(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "types")
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// TestProgramTypes reads members of structs in the memory of a program, whose types are in a
// file.
func TestProgramTypes(t *testing.T) {
	path := programTypes(t)
	for _, c := range []struct{ from, resolve, typ, want string }{
		{"outer", "in.deep", "auto", "let $a0 = (int32)*(int32*)uptr((uint64)arg0 + 8);"},
		{"struct outer", "list[3]", "auto", "let $a0 = (uint16)*(uint16*)uptr((uint64)arg0 + 46);"},
		{"outer", "p.deep", "uint32", "let $a0 = (uint32)*(int32*)uptr(*(uint64*)uptr((uint64)arg0 + 32) + 0);"},
		{"outer", "p[2].deep", "int", "let $a0 = (int32)*(int32*)uptr(*(uint64*)uptr((uint64)arg0 + 32) + 48);"},
		{"outer", "p.name", "auto", "let $a0 = (uint64)*(uint64*)uptr((uint64)arg0 + 32) + 4;"},
		{"outer", "text", "auto", "let $a0 = (uint64)*(uint64*)uptr((uint64)arg0 + 48);"},
		{"outer", "in.gone", "auto", "'struct inner' has no member 'gone' that can be read"},
		{"outer", "in.flag", "auto", "has no member 'flag' that can be read"},
		{"outer", "in[1]", "auto", "has no member '1' that can be read"},
		{"gone", "in", "auto", "the file of 'btfPath' has no type 'gone'"},
		{"", "in", "auto", "'resolve' needs the type that it starts from: 'btfType'"},
	} {
		spec := "  uprobes:\n  - path: /bin/true\n    btfPath: " + path + "\n    symbols: [main]\n" +
			"    args: [{index: 0, type: " + c.typ + ", btfType: \"" + c.from + "\", resolve: \"" + c.resolve + "\"}]\n"
		var diags source.Diags
		got := ""
		if tr := Translate(documents(policyWith(spec), &diags), &Machine{}, &policy.Terms{Kernel: frozen(t)}, &diags); tr != nil {
			got = tr.Script.Text[tr.preamble:]
		}
		for _, d := range diags.All() {
			got += d.Render()
		}
		if !strings.Contains(got, c.want) {
			t.Errorf("%s %s: %s", c.from, c.resolve, got)
		}
	}
	for _, file := range []string{"/no/such/file", "userbtf_test.go"} {
		spec := "  uprobes: [{path: /bin/true, btfPath: " + file + ", symbols: [main]}]\n"
		if got := compiled(t, frozen(t), policyWith(spec), false); !strings.Contains(got, "the types in '"+file+"' cannot be read: ") {
			t.Errorf("%s: %s", file, got)
		}
	}
}
