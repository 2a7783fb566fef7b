package kernel

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gotrace/gotrace/lang/types"
)

const formatHead = `name: demo
ID: 77
format:
	field:unsigned short common_type;	offset:0;	size:2;	signed:0;
	field:unsigned char common_flags;	offset:2;	size:1;	signed:0;
	field:int common_pid;	offset:4;	size:4;	signed:1;

`

func TestParseFormat(t *testing.T) {
	thing := &types.Type{Kind: types.Struct, Name: "struct thing", Size: 24, Space: types.Kernel}
	color := &types.Type{Kind: types.Enum, Name: "enum color", Size: 4}
	lookup := func(name string) (*types.Type, error) {
		switch name {
		case "struct thing":
			return thing, nil
		case "enum color":
			return color, nil
		case "cap_user_header_t":
			return types.NewPointer(thing, types.Kernel), nil
		}
		return nil, ErrNotFound
	}
	kernel, user := types.Kernel, types.User
	for _, tt := range []struct {
		line     string
		syscalls bool
		name     string
		typ      string
		space    types.Space
		off      int
		loc      string
	}{
		{"int __syscall_nr;\toffset:8;\tsize:4;\tsigned:1;", true, "__syscall_nr", "int32", 0, 8, ""},
		{"unsigned int fd;\toffset:16;\tsize:8;\tsigned:0;", true, "fd", "uint32", 0, 16, ""},
		{"unsigned int fd;\toffset:16;\tsize:8;\tsigned:0;", false, "fd", "uint64", 0, 16, ""},
		{"int dfd;\toffset:16;\tsize:8;\tsigned:0;", true, "dfd", "int32", 0, 16, ""},
		{"const int flag;\toffset:16;\tsize:8;\tsigned:0;", true, "flag", "int32", 0, 16, ""},
		{"unsigned flags;\toffset:16;\tsize:8;\tsigned:0;", true, "flags", "uint32", 0, 16, ""},
		{"long nr;\toffset:16;\tsize:8;\tsigned:0;", true, "nr", "int64", 0, 16, ""},
		{"unsigned long addr;\toffset:16;\tsize:8;\tsigned:0;", true, "addr", "uint64", 0, 16, ""},
		{"size_t count;\toffset:16;\tsize:8;\tsigned:0;", true, "count", "uint64", 0, 16, ""},
		{"loff_t pos;\toffset:16;\tsize:8;\tsigned:0;", true, "pos", "int64", 0, 16, ""},
		{"umode_t mode;\toffset:16;\tsize:8;\tsigned:0;", true, "mode", "uint16", 0, 16, ""},
		{"pid_t pid;\toffset:16;\tsize:8;\tsigned:0;", true, "pid", "int32", 0, 16, ""},
		{"uid_t uid;\toffset:16;\tsize:8;\tsigned:0;", true, "uid", "uint32", 0, 16, ""},
		{"key_serial_t id;\toffset:16;\tsize:8;\tsigned:0;", true, "id", "int32", 0, 16, ""},
		{"cap_user_header_t header;\toffset:16;\tsize:8;\tsigned:0;", true, "header", "struct thing *", user, 16, ""},
		{"enum color c;\toffset:16;\tsize:8;\tsigned:0;", true, "c", "enum color", 0, 16, ""},
		{"unheard_of_t x;\toffset:16;\tsize:8;\tsigned:0;", true, "x", "uint64", 0, 16, ""},
		{"char * buf;\toffset:24;\tsize:8;\tsigned:0;", true, "buf", "int8 *", user, 24, ""},
		{"const char * filename;\toffset:24;\tsize:8;\tsigned:0;", true, "filename", "int8 *", user, 24, ""},
		{"const char *const * argv;\toffset:24;\tsize:8;\tsigned:0;", true, "argv", "int8 * *", user, 24, ""},
		{"struct thing * p;\toffset:8;\tsize:8;\tsigned:0;", true, "p", "struct thing *", user, 8, ""},
		{"struct unknown * p;\toffset:8;\tsize:8;\tsigned:0;", false, "p", "void *", kernel, 8, ""},
		{"const void *const p;\toffset:8;\tsize:8;\tsigned:0;", false, "p", "void *", kernel, 8, ""},
		{"const void* p;\toffset:8;\tsize:8;\tsigned:0;", false, "p", "void *", kernel, 8, ""},
		{"const char * name;\toffset:8;\tsize:8;\tsigned:0;", false, "name", "int8 *", kernel, 8, ""},
		{"char comm[16];\toffset:8;\tsize:16;\tsigned:0;", false, "comm", "string[16]", types.Ctx, 8, ""},
		{"char comm[TASK_LEN];\toffset:8;\tsize:16;\tsigned:0;", false, "comm", "string[16]", types.Ctx, 8, ""},
		{"unsigned long args[6];\toffset:16;\tsize:48;\tsigned:0;", false, "args", "uint64[6]", types.Ctx, 16, ""},
		{"long v[3];\toffset:16;\tsize:24;\tsigned:1;", false, "v", "int64[3]", types.Ctx, 16, ""},
		{"__u8 saddr_v6[16];\toffset:16;\tsize:16;\tsigned:0;", false, "saddr_v6", "uint8[16]", types.Ctx, 16, ""},
		{"pid_t pid;\toffset:12;\tsize:4;\tsigned:1;", false, "pid", "int32", 0, 12, ""},
		{"bool ok;\toffset:12;\tsize:1;\tsigned:0;", false, "ok", "bool", 0, 12, ""},
		{"enum color c;\toffset:12;\tsize:4;\tsigned:0;", false, "c", "enum color", 0, 12, ""},
		{"enum unknown c;\toffset:12;\tsize:4;\tsigned:1;", false, "c", "int32", 0, 12, ""},
		{"struct thing t;\toffset:16;\tsize:24;\tsigned:0;", false, "t", "struct thing", types.Ctx, 16, ""},
		{"struct unknown t;\toffset:16;\tsize:24;\tsigned:0;", false, "t", "uint8[24]", types.Ctx, 16, ""},
		{"__data_loc char[] filename;\toffset:8;\tsize:4;\tsigned:0;", false, "filename", "int8 *", kernel, 8, "data"},
		{"__data_loc u64[] v;\toffset:8;\tsize:4;\tsigned:0;", false, "v", "uint64 *", kernel, 8, "data"},
		{"__rel_loc char[] name;\toffset:12;\tsize:4;\tsigned:0;", false, "name", "int8 *", kernel, 12, "rel"},
	} {
		cat := "sched"
		if tt.syscalls {
			cat = "syscalls"
		}
		f, err := parseFormat(formatHead+"\tfield:"+tt.line+"\n\nprint fmt: \"field:\"\n", cat, lookup)
		if err != nil {
			t.Errorf("%s: %v", tt.line, err)
			continue
		}
		if f.ID != 77 || len(f.Fields) != 1 || len(f.Decls) != 1 {
			t.Fatalf("%s: %+v", tt.line, f)
		}
		g := f.Fields[0]
		loc := map[bool]string{true: "data"}[g.DataLoc] + map[bool]string{true: "rel"}[g.RelLoc]
		if g.Name != tt.name || g.Type.String() != tt.typ || g.Type.Space != tt.space || g.Off != tt.off || loc != tt.loc {
			t.Errorf("%s: got %s %s space %d offset %d %s", tt.line, g.Type, g.Name, g.Type.Space, g.Off, loc)
		}
	}
}

func TestParseFormatErrors(t *testing.T) {
	none := func(string) (*types.Type, error) { return nil, ErrNotFound }
	for _, text := range []string{
		"", "ID: x\n", "format:\n\tfield:int a;\toffset:0;\tsize:4;\tsigned:1;\n",
		"ID: 1\n\tfield:int a;\toffset:-4;\tsize:4;\tsigned:1;\n",
		"ID: 1\n\tfield:int a;\toffset:0;\tsize:99999999999;\tsigned:1;\n",
		"ID: 1\n\tfield:[4];\toffset:0;\tsize:4;\tsigned:1;\n",
	} {
		if f, err := parseFormat(text, "x", none); err == nil {
			t.Errorf("%q: no error: %+v", text, f)
		}
	}
}

func FuzzParseFormat(f *testing.F) {
	f.Add(formatHead + "\tfield:__data_loc char[] filename;\toffset:8;\tsize:4;\tsigned:0;\n")
	f.Add("ID: 1\n\tfield:unsigned long a[b[3]];\toffset:16;\tsize:48;\tsigned:0;\n")
	f.Fuzz(func(t *testing.T, text string) {
		_, _ = parseFormat(text, "x", func(string) (*types.Type, error) { return nil, errors.New("no") })
	})
}

func TestParseFunctions(t *testing.T) {
	got := parseFunctions("b\na [ext4]\n__ftrace_invalid_address___12\nc\nb\n")
	if d := cmp.Diff([]string{"ext4:a", "vmlinux:b", "vmlinux:b", "vmlinux:c"}, got); d != "" {
		t.Error(d)
	}
}

func TestParseRelease(t *testing.T) {
	for text, want := range map[string]string{"6.1.0-23-amd64": "6.1", "5.10.209": "5.10.209", "7.0-rc1": "7.0", "6.18.44-fc-v669": "6.18.44", "": "0.0", "x": "0.0"} {
		if got := parseRelease(text).String(); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}

func TestCountCPUs(t *testing.T) {
	for text, want := range map[string]int{"0\n": 1, "0-3\n": 4, "0-1,4-7": 8, "": 0} {
		if got := countCPUs(text); got != want {
			t.Errorf("%q: %d, want %d", text, got, want)
		}
	}
}
