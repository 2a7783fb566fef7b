package kernel

import (
	"errors"
	"io/fs"
	"os"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/gotrace/gotrace/probes"
	"github.com/gotrace/gotrace/runtime/lazy"
	"github.com/gotrace/gotrace/runtime/outline"
)

// source is a source of a kernel's files. The error for a name that does not exist
// wraps fs.ErrNotExist.
type source interface {
	read(name string) ([]byte, error)
	list(dir string) ([]string, error)
	facts() (facts, error)
	live() bool
}

// Live returns the running kernel.
func Live() *Kernel { return LiveBTF("") }

// LiveBTF returns the running kernel, with the types of vmlinux from a file in BTF's
// raw format. If file is "", they are the kernel's own.
func LiveBTF(file string) *Kernel {
	s := &hostSource{btf: file}
	s.tracefs.New = findTracefs
	return newKernel(s)
}

type hostSource struct {
	tracefs lazy.Result[string]
	btf     string // file for vmlinux; "": the kernel's
}

func (s *hostSource) live() bool { return true }

// path returns the path of a name in the running system.
func (s *hostSource) path(name string) (string, error) {
	top, rest, _ := strings.Cut(name, "/")
	switch top {
	case "btf":
		if s.btf != "" && rest == "vmlinux" {
			return s.btf, nil
		}
		return "/sys/kernel/btf/" + rest, nil
	case "tracing":
		dir, err := s.tracefs.Get()
		return dir + "/" + rest, err
	case "kallsyms", "modules":
		return "/proc/" + name, nil
	}
	return "", outline.Errorf("%s: %w", name, fs.ErrNotExist)
}

func (s *hostSource) read(name string) ([]byte, error) {
	path, err := s.path(name)
	if err != nil {
		return nil, err
	}
	if strings.HasPrefix(name, "btf/") {
		return mapFile(path)
	}
	return os.ReadFile(path)
}

// mapFile maps a BTF file, so that only the pages that are used take memory. The
// mapping lasts as long as the process. If the kernel cannot map the file (before
// 6.16), mapFile reads it.
func mapFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if size := st.Size(); size > 0 && size < 1<<31 {
		if data, err := unix.Mmap(int(f.Fd()), 0, int(size), unix.PROT_READ, unix.MAP_PRIVATE); err == nil {
			return data, nil
		}
	}
	return os.ReadFile(path)
}

func (s *hostSource) list(dir string) ([]string, error) {
	path, err := s.path(dir)
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(path)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names, err
}

func (s *hostSource) facts() (facts, error) {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return facts{}, err
	}
	f := facts{arch: runtime.GOARCH, page: os.Getpagesize(), cpus: runtime.NumCPU()}
	f.release = parseRelease(unix.ByteSliceToString(u.Release[:]))
	if text, err := os.ReadFile("/sys/devices/system/cpu/possible"); err == nil {
		if n := countCPUs(string(text)); n > 0 {
			f.cpus = n
		}
	}
	return f, nil
}

// countCPUs parses a list of CPUs ("0-3,7"). It returns the highest number plus 1.
func countCPUs(list string) int {
	n := 0
	for part := range strings.SplitSeq(strings.TrimSpace(list), ",") {
		_, last, ok := strings.Cut(part, "-")
		if !ok {
			last = part
		}
		if v, err := strconv.Atoi(last); err == nil {
			n = max(n, v+1)
		}
	}
	return n
}

// parseRelease parses the numbers at the start of a kernel release such as
// "6.1.0-23-amd64".
func parseRelease(s string) probes.Version {
	var n [3]int
	for i := range n {
		j := 0
		for j < len(s) && s[j] >= '0' && s[j] <= '9' {
			n[i] = n[i]*10 + int(s[j]-'0')
			j++
		}
		if s = s[j:]; !strings.HasPrefix(s, ".") {
			break
		}
		s = s[1:]
	}
	return probes.Version{Major: n[0], Minor: n[1], Patch: n[2]}
}

// findTracefs returns the directory at which tracefs is mounted. If it is not mounted,
// findTracefs mounts it at its usual place, which requires CAP_SYS_ADMIN.
func findTracefs() (string, error) {
	places := []string{"/sys/kernel/tracing", "/sys/kernel/debug/tracing"}
	var denied error
	for _, dir := range places {
		var st unix.Statfs_t
		if err := unix.Statfs(dir, &st); err == nil && st.Type == unix.TRACEFS_MAGIC {
			return dir, nil
		} else if errors.Is(err, fs.ErrPermission) {
			denied = err
		}
	}
	err := unix.Mount("tracefs", places[0], "tracefs", 0, "")
	switch {
	case err == nil, errors.Is(err, unix.EBUSY):
		return places[0], nil
	case denied != nil:
		return places[0], outline.Errorf("tracefs cannot be read: /sys/kernel/tracing and /sys/kernel/debug are only for root: %w", denied)
	}
	return places[0], outline.Errorf("tracefs is not mounted at /sys/kernel/tracing and cannot be mounted (%w): try, as root, mount -t tracefs tracefs /sys/kernel/tracing", err)
}

// TracefsDir returns the directory of the running system's tracefs.
func (k *Kernel) TracefsDir() (string, error) {
	if s, ok := k.src.(*hostSource); ok {
		return s.tracefs.Get()
	}
	return "", outline.Errorf("a frozen kernel has no tracefs")
}

// fsSource is the source of a frozen kernel: a directory or archive of the files
// that Freeze writes.
type fsSource struct{ fsys fs.FS }

func (s *fsSource) live() bool { return false }

func (s *fsSource) read(name string) ([]byte, error) { return fs.ReadFile(s.fsys, name) }

func (s *fsSource) list(dir string) ([]string, error) {
	entries, err := fs.ReadDir(s.fsys, dir)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names, err
}

// facts parses the file "kernel", which has lines such as "release 6.1.0",
// "arch amd64", "cpus 2", "page 4096", "feature NAME".
func (s *fsSource) facts() (facts, error) {
	text, err := s.read("kernel")
	if err != nil {
		return facts{}, outline.Errorf("frozen kernel: %w", err)
	}
	f := facts{features: map[probes.Feature]bool{}}
	for line := range strings.Lines(string(text)) {
		key, val, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch key {
		case "release":
			f.release = parseRelease(val)
		case "arch":
			f.arch = val
		case "cpus":
			f.cpus, err = strconv.Atoi(val)
		case "page":
			f.page, err = strconv.Atoi(val)
		case "feature":
			f.features[probes.Feature(val)] = true
		case "":
		default:
			err = outline.Errorf("unknown fact %q", key)
		}
		if err != nil {
			return facts{}, outline.Errorf("frozen kernel: %w", err)
		}
	}
	if f.release == (probes.Version{}) || f.arch == "" || f.cpus <= 0 || f.page <= 0 {
		return facts{}, errors.New("frozen kernel: release, arch, cpus or page is missing")
	}
	return f, nil
}
