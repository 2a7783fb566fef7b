package unwind

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/gotrace/gotrace/runtime/unwind/cfi"
)

// build builds the tables of the files in the queue, one after the other.
func (t *Tables) build() {
	defer t.stopped.Done()
	for {
		t.mu.Lock()
		f := t.next()
		t.mu.Unlock()
		if f == nil {
			select {
			case <-t.wake:
				continue
			case <-t.stop:
				return
			}
		}
		select {
		case <-t.stop:
			return
		default:
		}
		t.buildFile(f)
		t.mu.Lock()
		close(t.made)
		t.made = make(chan struct{})
		t.mu.Unlock()
	}
}

// buildFile builds the tables of a file.
func (t *Tables) buildFile(f *file) {
	began := time.Now()
	r, size, err := t.open(f)
	if err != nil {
		// The processes may have ended, though the log does not say so yet. The next
		// one that maps the file may last longer.
		t.mu.Lock()
		f.failed = time.Now()
		t.stats.Failed++
		if len(f.users) == 0 {
			delete(t.files, f.key)
		}
		t.mu.Unlock()
		return
	}
	defer r.Close()
	if build := buildID(r); build != "" {
		t.mu.Lock()
		f.build = build
		if same := t.byBuild[build]; same != nil && same != f {
			f.same, f.ready = same, true
			t.stats.Shared++
			t.publishFile(f)
			for p := range f.users {
				t.mark(p)
			}
			t.flush()
			t.mu.Unlock()
			return
		}
		t.byBuild[build] = f
		t.mu.Unlock()
	}
	frames, err := cfi.ReadFile(r)
	kind := NoTable
	switch {
	case errors.Is(err, cfi.ErrArch):
		kind = NoTable
	case frames == nil: // not an ELF file: generated code in a file
		kind = FramePointer
	case len(frames.List) == 0 && isGo(r):
		kind = FramePointer
	}
	var list []draft
	if frames != nil {
		list = drafts(frames)
	}
	t.finish(f, kind, frames, list, err)
	took := time.Since(began)
	t.mu.Lock()
	t.stats.Total += took
	if took > t.stats.Longest {
		t.stats.Longest, t.stats.LongestFileSize = took, size
	}
	t.mu.Unlock()
}

// finish stores the segments of a file and makes them available to programs.
func (t *Tables) finish(f *file, kind int, frames *cfi.File, list []draft, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	f.kind, f.ready = kind, true
	t.stats.Files++
	if err != nil {
		t.stats.Failed++
	}
	for i := range list {
		d := &list[i]
		b, mem, err := t.alloc(d.size())
		if err != nil {
			f.kind = NoRoom
			t.stats.NoRoom++
			break
		}
		d.encode(mem, b.off, func(n uint16) uint16 { return t.rule(frames.Rules[n]) })
		f.segs = append(f.segs, segment{origin: d.start, start: d.from, end: d.end, block: b})
		t.stats.Rows += len(d.rules) + len(d.pages)
	}
	t.publishFile(f)
	for p := range f.users {
		t.mark(p)
	}
	t.flush()
}

// opened is an open file.
type opened interface {
	io.ReaderAt
	io.Closer
}

// open opens a file through one of the processes that map it.
func (t *Tables) open(f *file) (opened, int64, error) {
	// Another goroutine may change the mappings meanwhile.
	type source struct {
		pid        int
		start, end uint64
		path       string
	}
	var from []source
	t.mu.Lock()
	for p := range f.users {
		for _, m := range p.maps {
			if m.file == f && len(from) < maxSources {
				from = append(from, source{p.pid, m.start, m.end, f.path})
			}
		}
	}
	t.mu.Unlock()
	for _, s := range from {
		dir := filepath.Join(t.procRoot, strconv.Itoa(s.pid))
		if f.key.special != "" {
			if r, err := readMemory(dir, s.start, s.end); err == nil {
				return r, int64(s.end - s.start), nil
			}
			continue
		}
		// The first name leads to the mapped file even if it was deleted. It does not
		// exist if the kernel has split or merged mappings since.
		for _, name := range []string{filepath.Join(dir, "map_files", fmt.Sprintf("%x-%x", s.start, s.end)), filepath.Join(dir, "root", s.path)} {
			r, err := os.Open(name)
			if err != nil {
				continue
			}
			info, err := r.Stat()
			if err == nil && info.Mode().IsRegular() && sameInode(info, f.key.inode) {
				return r, info.Size(), nil
			}
			r.Close()
		}
	}
	// If the processes have already ended, open the file by its path: the next
	// processes that map it may be as short-lived.
	if f.key.special == "" {
		if r, err := os.Open(f.path); err == nil {
			info, err := r.Stat()
			if err == nil && info.Mode().IsRegular() && sameFile(info, f.key) {
				return r, info.Size(), nil
			}
			r.Close()
		}
	}
	return nil, 0, errGone
}

// sameFile reports whether a file in this process's mount namespace is the file of a
// key.
func sameFile(info os.FileInfo, key fileKey) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || st.Ino != key.inode {
		return false
	}
	// A device number interleaves the halves of the major and minor numbers.
	major := st.Dev>>8&0xfff | st.Dev>>32&^0xfff
	minor := st.Dev&0xff | st.Dev>>12&0xffffff00
	return major<<32|minor == key.dev
}

// maxSources is the number of mappings of a file that are tried.
const maxSources = 16

// sameInode reports whether a file has the inode number of a mapping.
func sameInode(info os.FileInfo, inode uint64) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && st.Ino == inode
}

// readMemory reads a part of a process's memory. The part is an ELF file that the
// kernel mapped there.
func readMemory(dir string, start, end uint64) (opened, error) {
	const most = 1 << 20
	mem, err := os.Open(filepath.Join(dir, "mem"))
	if err != nil {
		return nil, err
	}
	defer mem.Close()
	b := make([]byte, min(end-start, most))
	if _, err := mem.ReadAt(b, int64(start)); err != nil {
		return nil, err
	}
	return memFile{bytes.NewReader(b)}, nil
}

// buildID returns the build ID that the linker gave an ELF file, or "".
func buildID(r io.ReaderAt) string {
	e, err := elf.NewFile(r)
	if err != nil {
		return ""
	}
	for _, p := range e.Progs {
		if p.Type != elf.PT_NOTE || p.Filesz > 1<<16 {
			continue
		}
		notes, err := io.ReadAll(p.Open())
		if err != nil {
			continue
		}
		for len(notes) >= 12 {
			name, desc := e.ByteOrder.Uint32(notes), e.ByteOrder.Uint32(notes[4:])
			kind := e.ByteOrder.Uint32(notes[8:])
			at := 12 + (uint64(name)+3)&^3
			end := at + (uint64(desc)+3)&^3
			if end > uint64(len(notes)) {
				break
			}
			if kind == 3 && bytes.HasPrefix(notes[12:], []byte("GNU\x00")) {
				return string(notes[at : at+uint64(desc)])
			}
			notes = notes[end:]
		}
	}
	return ""
}

// isGo reports whether Go's linker wrote an ELF file. Functions of Go programs keep the
// frame pointer.
func isGo(r io.ReaderAt) bool {
	e, err := elf.NewFile(r)
	if err != nil {
		return false
	}
	return e.Section(".gopclntab") != nil || e.Section(".data.rel.ro.gopclntab") != nil || e.Section(".go.buildinfo") != nil
}

var errGone = errors.New("no process maps the file any more")

type memFile struct{ *bytes.Reader }

func (memFile) Close() error { return nil }
