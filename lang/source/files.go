package source

import (
	"cmp"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"time"
)

// Files reads the files that a script includes or imports, from disk or from the files
// packed with a compiled script. A nil *Files reads from disk.
type Files struct {
	packed map[string]PackedFile // nil: read from disk
	seen   map[string]PackedFile // files read from disk; nil: not recorded
}

// PackedFile is a file or directory that was read, or the matches of a pattern.
type PackedFile struct {
	Path  string
	Real  string   `json:",omitempty"` // without symbolic links
	Text  string   `json:",omitempty"`
	Dir   bool     `json:",omitempty"`
	Names []string `json:",omitempty"` // of the entries or the matches
}

// RecordFiles returns a Files that reads from disk and records the files it
// reads for Packed.
func RecordFiles() *Files { return &Files{seen: map[string]PackedFile{}} }

// UnpackFiles returns a Files that contains only the files of list.
func UnpackFiles(list []PackedFile) *Files {
	f := &Files{packed: map[string]PackedFile{}}
	for _, p := range list {
		f.packed[p.Path] = p
	}
	return f
}

// Packed returns the recorded files, sorted by path.
func (f *Files) Packed() []PackedFile {
	var list []PackedFile
	for _, p := range f.seen {
		list = append(list, p)
	}
	sort.Slice(list, func(i, j int) bool { return list[i].Path < list[j].Path })
	return list
}

// note records the results of learn for a path, if files are recorded.
//
//go:noinline
func (f *Files) note(path string, learn func(p *PackedFile)) {
	if f == nil || f.seen == nil {
		return
	}
	p := f.seen[path]
	p.Path = path
	learn(&p)
	f.seen[path] = p
}

func missing(op, path string) error { return &fs.PathError{Op: op, Path: path, Err: fs.ErrNotExist} }

// get looks up a path among the packed files. ok is false if files are read from disk.
//
//go:noinline
func (f *Files) get(op, path string) (p PackedFile, ok bool, err error) {
	if f == nil || f.packed == nil {
		return PackedFile{}, false, nil
	}
	p, found := f.packed[path]
	if !found {
		return p, true, missing(op, path)
	}
	return p, true, nil
}

// ReadFile returns the content of a file.
func (f *Files) ReadFile(path string) ([]byte, error) {
	if p, ok, err := f.get("open", path); ok {
		return []byte(p.Text), err
	}
	data, err := os.ReadFile(path)
	if err == nil {
		f.note(path, func(p *PackedFile) { p.Text = string(data) })
	}
	return data, err
}

// Stat returns information about a file.
func (f *Files) Stat(path string) (fs.FileInfo, error) {
	if p, ok, err := f.get("stat", path); ok {
		return packedInfo{p}, err
	}
	info, err := os.Stat(path)
	if err == nil {
		f.note(path, func(p *PackedFile) { p.Dir = info.IsDir() })
	}
	return info, err
}

// ReadDir returns the names of the entries of a directory that are not
// directories, in order.
func (f *Files) ReadDir(path string) ([]string, error) {
	if p, ok, err := f.get("open", path); ok {
		return p.Names, err
	}
	entries, err := os.ReadDir(path)
	var names []string
	for _, e := range entries {
		if !e.IsDir() {
			names = append(names, e.Name())
		}
	}
	if err == nil {
		f.note(path, func(p *PackedFile) { p.Dir, p.Names = true, names })
	}
	return names, err
}

// Real returns the absolute path of a file without symbolic links.
func (f *Files) Real(path string) (string, error) {
	if p, ok, err := f.get("lstat", path); ok {
		return cmp.Or(p.Real, p.Path), err
	}
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return "", err
	}
	if abs, err := filepath.Abs(real); err == nil {
		real = abs
	}
	f.note(path, func(p *PackedFile) { p.Real = real })
	return real, nil
}

// Glob returns the paths that match a pattern.
func (f *Files) Glob(pattern string) []string {
	if p, ok, _ := f.get("glob", pattern); ok {
		return p.Names
	}
	names, _ := filepath.Glob(pattern) // the only possible error is an invalid pattern
	f.note(pattern, func(p *PackedFile) { p.Names = names })
	return names
}

// packedInfo implements fs.FileInfo for a packed file.
type packedInfo struct{ p PackedFile }

func (i packedInfo) Name() string       { return filepath.Base(i.p.Path) }
func (i packedInfo) Size() int64        { return int64(len(i.p.Text)) }
func (i packedInfo) ModTime() time.Time { return time.Time{} }
func (i packedInfo) IsDir() bool        { return i.p.Dir }
func (i packedInfo) Sys() any           { return nil }
func (i packedInfo) Mode() fs.FileMode {
	if i.p.Dir {
		return fs.ModeDir | 0o755
	}
	return 0o644
}
