package live

import (
	"debug/elf"
	"encoding/hex"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// stackForms returns the modes and depths of a stack. In the raw form addresses are numbers.
// The programs are half as large in emulated guests, whose verifiers need minutes.
func stackForms() (forms []string) {
	depths := []string{"1", "2", "3", "4", "127"}
	if testing.Short() {
		depths = []string{"3", "127"}
	}
	for _, mode := range []string{"bpftrace", "perf", "raw", "build_id"} {
		forms = append(forms, mode)
		for _, depth := range depths {
			forms = append(forms, mode+", "+depth)
		}
	}
	return forms
}

// TestStackForms takes stacks in all modes and depths, by frame pointers, by tables and by
// mapping, at probes of several kinds. The functions must be those of the source. Stacks of
// the kernel must have the same frames in all modes.
func TestStackForms(t *testing.T) {
	turn := 0
	for _, by := range []string{"fp places-fp", "dwarf places-fp", "dwarf places-O2", "auto places-fp", "auto places-O2"} {
		how, program, _ := strings.Cut(by, " ")
		if *peer && how != "fp" {
			continue // unwinding has another name there and no modes
		}
		if !*thorough && how != "fp" && program == "places-fp" {
			continue
		}
		for _, probe := range []string{
			"tracepoint:syscalls:sys_enter_getpgid /args.pid == 424242/", "tracepoint:syscalls:sys_exit_getpgid /comm == COMM/",
			"rawtracepoint:sys_enter /comm == COMM && arg1 == 121/", "kprobe:__x64_sys_getpgid /comm == COMM/",
			"kretprobe:__x64_sys_getpgid /comm == COMM/", "fentry:__x64_sys_getpgid /comm == COMM/",
			"fexit:__x64_sys_getpgid /comm == COMM/", "uprobe:BIN:leaf",
		} {
			if turn++; elsewhere(turn) || how == "fp" && strings.HasPrefix(probe, "uprobe") {
				continue // the frame pointer is not set yet at the first instruction
			}
			kind, _, _ := strings.Cut(probe, " ")
			t.Run(by+"/"+kind, func(t *testing.T) {
				needs := map[string]string{"kprobe": "kprobe", "kretprobe": "kprobe", "fentry": "fentry", "fexit": "fentry"}
				if need, ok := needs[strings.Split(kind, ":")[0]]; ok && missing(need) != "" {
					t.Skip(missing(need))
				}
				if strings.HasPrefix(kind, "rawtracepoint") {
					native(t) // while the program runs, slow guests miss calls of other processes
				}
				bin := placesProgram(t, program)
				target := runs(t, exec.Command(bin, "none"))
				var script strings.Builder
				if !*peer {
					fmt.Fprintf(&script, "config = { user_stack = %s } ", how)
				}
				comm := strconv.Quote(filepath.Base(bin))
				script.WriteString(strings.NewReplacer("BIN", bin, "COMM", comm).Replace(probe) + ` { if (!@taken && len(ustack) > 3) { @taken = 1;`)
				for _, form := range stackForms() {
					if by == "fp places-fp" || !strings.HasPrefix(form, "build_id") {
						fmt.Fprintf(&script, ` printf("\n#ustack %s\n%%s", ustack(%[1]s));`, form)
					}
					if !strings.HasPrefix(form, "build_id") {
						fmt.Fprintf(&script, ` printf("\n#kstack %s\n%%s", kstack(%[1]s));`, form)
					}
				}
				script.WriteString(` printf("\n#end\n"); exit(); } }`)
				r := trace(t, "-p", target, "-e", script.String())
				// Before Linux 6.12, the kernel often finds no stack of its own in tracepoints of system calls.
				empty := kind == "uprobe:BIN:leaf" || strings.HasPrefix(kind, "tracepoint:syscalls") && release().less(version{6, 12})
				checkForms(t, bin, r, empty)
			})
		}
	}
}

// placesProgram returns the path of a program of places.c, for the peer too.
func placesProgram(t *testing.T, name string) string {
	t.Helper()
	defer func(saved bool) { *peer = saved }(*peer)
	*peer = false
	return fixture(t, name)
}

// functionsOf returns a function that names addresses in a program, and its build ID.
func functionsOf(t *testing.T, bin string) (func(uint64) string, string) {
	t.Helper()
	file, err := elf.Open(bin)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	symbols, err := file.Symbols()
	if err != nil {
		t.Fatal(err)
	}
	id := ""
	if s := file.Section(".note.gnu.build-id"); s != nil {
		data, _ := s.Data()
		id = hex.EncodeToString(data[16:])
	}
	return func(addr uint64) string {
		for _, s := range symbols {
			if elf.ST_TYPE(s.Info) == elf.STT_FUNC && s.Value <= addr && addr < s.Value+s.Size {
				return s.Name
			}
		}
		return "?"
	}, id
}

// checkForms compares the stacks that r printed with the source and with each other. If empty
// is set, the kernel's may be empty.
func checkForms(t *testing.T, bin string, r result, empty bool) {
	t.Helper()
	function, id := functionsOf(t, bin)
	entries := strings.Split(r.stdout, "\n#")
	kernel := map[string][]string{} // by mode
	n := 0
	for _, entry := range entries[1:] {
		title, text, _ := strings.Cut(entry, "\n")
		if title == "end" {
			continue
		}
		n++
		kind, form, _ := strings.Cut(title, " ")
		mode, depth, limited := strings.Cut(form, ", ")
		limit := 1000
		if limited {
			limit, _ = strconv.Atoi(depth)
		}
		var names, addrs []string
		for _, line := range strings.Split(strings.TrimSpace(text), "\n") {
			fields := strings.Fields(line)
			if len(fields) == 0 {
				continue
			}
			name, addr := "", fields[0]
			switch mode {
			case "bpftrace":
				name = fields[0]
			case "perf":
				name = fields[1]
			case "raw":
				a, err := strconv.ParseUint(fields[0], 16, 64)
				if err != nil {
					t.Errorf("%s: %q", title, line)
				}
				name = function(a)
			case "build_id":
				// The file's code is at 0x400000 above its offset.
				name = "?"
				if len(fields) > 1 && fields[0] == id {
					a, _ := strconv.ParseUint(fields[1], 0, 64)
					name = function(a + 0x400000)
				}
			}
			name, _, _ = strings.Cut(name, "+")
			if len(addrs) == 0 && kind == "kstack" && len(kernel["bpftrace"]) > 0 && strings.HasPrefix(kernel["bpftrace"][0], "bpf_prog_") {
				addr = "own" // the script's program itself, which continues between the stacks
			}
			names, addrs = append(names, name), append(addrs, addr)
		}
		if len(names) > limit {
			t.Errorf("%s: %d frames", title, len(names))
		}
		if kind == "ustack" {
			want := []string{"leaf", "outer", "run", "main"}
			want = want[:min(limit, 4)]
			if len(names) < len(want) || !slices.Equal(names[:len(want)], want) {
				t.Errorf("%s: %q, want %q", title, names, want)
			}
			continue
		}
		got := addrs
		if mode == "bpftrace" {
			got = names
		}
		if !limited {
			kernel[mode] = got
			if mode == "perf" {
				kernel["names"] = names
			}
		} else if all := kernel[mode]; !slices.Equal(got, all[:min(limit, len(all))]) {
			t.Errorf("%s: %q, all %q", title, got, all)
		}
	}
	if want := len(stackForms()) * 2 * 3 / 4; n < want { // without those with build IDs
		t.Fatalf("%d stacks, want %d\n%s%s", n, want, r.stdout, r.stderr)
	}
	if !slices.Equal(kernel["bpftrace"], kernel["names"]) || !slices.Equal(kernel["perf"], kernel["raw"]) || len(kernel["raw"]) < 2 && !empty {
		t.Errorf("stacks of the kernel: %q", kernel)
	}
}

// stackPlaces lists the places of places.c and the functions of the stacks there, by frame
// pointer and by tables. Frame pointers leave out what has none.
var stackPlaces = []struct{ place, fp, tables string }{
	{"none", "leaf outer run main", "leaf outer run main"},
	{"memfd", "leaf outer run main", "leaf outer run main"},
	{"shared", "leaf outer run main", "leaf outer run main"},
	{"tmpfile", "leaf outer run main", "leaf outer run main"},
	{"deleted", "leaf outer run main", "leaf outer run main"},
	{"fork", "leaf outer run child", "leaf outer run child"},
	{"vfork", "leaf outer run child", "leaf outer run child"},
	{"vm", "leaf outer run child", "leaf outer run child"},
	{"vforked", "leaf outer run child_of_vfork run main", "leaf outer run child_of_vfork run main"},
	{"thread", "leaf outer run begins", "leaf outer run begins start_thread"},
	{"nested", "leaf outer run second", "leaf outer run second __restore_rt sends first __restore_rt sends nested run main"},
	{"vdso", "", "clock_gettime clock_gettime vdso run main"}, // the vdso does not set the frame pointer
}

// placeProbe is where the programs of places.c are in leaf.
const placeProbe = "tracepoint:syscalls:sys_enter_getpgid /args.pid == 424242/"

// TestStackPlaces takes stacks of code that is mapped from files without a name, of the vdso,
// of threads and handlers, and of processes that share the memory of another one. The
// functions must be those of the source.
func TestStackPlaces(t *testing.T) {
	if *peer {
		t.Skip("the peer has few of the names")
	}
	turn := 0
	for _, p := range stackPlaces {
		for _, by := range []string{"fp", "dwarf", "auto"} {
			want := p.tables
			if by == "fp" {
				want = p.fp
			}
			if !*thorough && by == "auto" && want == p.fp {
				continue // by frame pointers, as fp
			}
			if turn++; elsewhere(turn) || want == "" {
				continue
			}
			t.Run(p.place+"/"+by, func(t *testing.T) {
				bin := fixture(t, map[string]string{"fp": "places-fp", "dwarf": "places-O2", "auto": "places-fp"}[by])
				probe := placeProbe
				if p.place == "vdso" {
					probe = "tracepoint:syscalls:sys_enter_clock_gettime /comm == " + strconv.Quote(filepath.Base(bin)) + "/"
				}
				checkPlace(t, by, probe, want, 20, "-c", bin+" "+p.place)
			})
		}
	}
}

// TestStacksAtEnd ends the session, and with it the process, after the first stacks of code
// whose file has no name. The names are found nevertheless.
func TestStacksAtEnd(t *testing.T) {
	if *peer {
		t.Skip("the peer has few of the names")
	}
	native(t) // gotrace waits for the files for a second at most
	for _, place := range []string{"memfd", "shared", "tmpfile", "deleted"} {
		bin := fixture(t, "places-fp")
		for range 3 {
			checkPlace(t, "fp", placeProbe, "leaf outer run main", 0, "-c", bin+" "+place)
		}
	}
}

// checkPlace runs gotrace with args, and takes stacks at a probe until more than n have
// more than three frames. Each must begin with the functions of want, and must be complete
// if it is not by frame pointer.
func checkPlace(t *testing.T, by, probe, want string, n int, args ...string) {
	t.Helper()
	r := trace(t, append(args, "-e", fmt.Sprintf(`config = { user_stack = %s } %s {
		@[ustack] = count();
		if (len(ustack) > 3) { @n++; }
		if (@n > %d) { exit(); }
	}`, by, probe, n))...)
	functions := strings.Fields(want)
	whole := 0
	for _, entry := range strings.Split(r.stdout, "@[")[1:] {
		if strings.Contains(entry, "[incomplete: table missing: not made yet]") {
			continue // as documented; the others must be right
		}
		whole++
		frames, _, _ := strings.Cut(entry, "]:")
		var got []string
		for _, line := range strings.Fields(frames) {
			name, _, _ := strings.Cut(line, "+")
			got = append(got, name)
		}
		if len(got) < len(functions) || !slices.Equal(got[:len(functions)], functions) || strings.Contains(frames, "[incomplete") && by != "fp" {
			t.Errorf("%q, want %q", got, functions)
		}
	}
	if whole == 0 {
		t.Errorf("no stack\n%s%s", r.stdout, r.stderr)
	}
}
