package main

import (
	"bytes"
	"crypto/sha256"
	"debug/elf"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/probes/kernel"
	"github.com/gotrace/gotrace/runtime"
	"github.com/gotrace/gotrace/runtime/object"
	"github.com/gotrace/gotrace/runtime/outline"
)

// A tool is the gotrace binary with a script appended:
//
//	binary | payloadHead | JSON of tool | object | trailer
//
// The trailer has a fixed size and contains the offsets of the parts. So a binary
// without a script needs only one read at startup.

// tool is a script in a binary, with the options that it was built with.
type tool struct {
	Name, Text string
	Flags      []string            // given when the tool was built, as --name=value
	Params     []string            // positional parameters given when the tool was built
	Options    map[string]string   // the script's own options given when the tool was built
	Declared   []object.Option     // options that the script's getopt calls declare
	Positional int                 // number of positional parameters that the script reads
	About      string              // the comment at the beginning of the script
	Files      []source.PackedFile // files that the script includes or imports
	Key        string              // what the object was compiled with, see app.key
	Warnings   []string            // warnings of that compilation as printed
	Version    string

	object []byte
}

const (
	payloadHead = "\n#gotrace-tool-payload\n"
	trailerMark = "gotrace-tool-end"
	trailerSize = 8 + 8 + sha256.Size + len(trailerMark)
	maxPayload  = 1 << 28
)

// errDamaged is the error for a binary that is incomplete.
var errDamaged = errors.New("this binary is damaged: part of its file is missing or has changed; build or install it again")

// selfExe is the path of the running binary.
const selfExe = "/proc/self/exe"

// openSelf opens the running binary. If /proc is not mounted, it uses the name by which
// the command was called.
func openSelf(arg0 string) (*os.File, error) {
	f, err := os.Open(selfExe)
	if err == nil {
		return f, nil
	}
	path, lookErr := exec.LookPath(arg0)
	if lookErr == nil || errors.Is(lookErr, exec.ErrDot) {
		if f, lookErr = os.Open(path); lookErr == nil {
			return f, nil
		}
	}
	return nil, outline.Errorf("cannot read our own binary, which may contain a script: %w: mount /proc, or call it by its path", err)
}

// appendTool appends a tool's payload to a binary.
func appendTool(binary_ []byte, t *tool) ([]byte, error) {
	text, err := json.Marshal(t)
	if err != nil {
		return nil, err
	}
	out := append(slices.Clip(binary_), payloadHead...)
	out = append(append(out, text...), t.object...)
	sum := sha256.Sum256(out[len(binary_)+len(payloadHead):])
	out = binary.LittleEndian.AppendUint64(out, uint64(len(text)))
	out = binary.LittleEndian.AppendUint64(out, uint64(len(t.object)))
	return append(append(out, sum[:]...), trailerMark...), nil
}

// readTool reads the tool that is appended to a binary. It returns the tool and the
// size of the binary without it. If there is no tool, t is nil.
func readTool(f *os.File) (t *tool, base int64, err error) {
	st, err := f.Stat()
	if err != nil || st.Size() < int64(trailerSize) {
		return nil, 0, err
	}
	end := make([]byte, trailerSize)
	if _, err := f.ReadAt(end, st.Size()-int64(trailerSize)); err != nil {
		return nil, 0, err
	}
	if string(end[trailerSize-len(trailerMark):]) != trailerMark {
		if cutOff(f, st.Size()) {
			return nil, 0, errDamaged
		}
		return nil, st.Size(), nil
	}
	text, obj := binary.LittleEndian.Uint64(end), binary.LittleEndian.Uint64(end[8:])
	if text > maxPayload || obj > maxPayload || int64(text+obj)+int64(trailerSize+len(payloadHead)) > st.Size() {
		return nil, 0, errDamaged
	}
	data := make([]byte, text+obj)
	start := st.Size() - int64(trailerSize) - int64(len(data))
	if _, err := f.ReadAt(data, start); err != nil {
		return nil, 0, err
	}
	if sum := sha256.Sum256(data); !bytes.Equal(sum[:], end[16:16+sha256.Size]) {
		return nil, 0, errDamaged
	}
	t = &tool{object: data[text:]}
	if err := json.Unmarshal(data[:text], t); err != nil {
		return nil, 0, errDamaged
	}
	return t, start - int64(len(payloadHead)), nil
}

// cutOff reports whether a file without a trailer is an incomplete tool: it is shorter
// than its ELF header requires, or it continues with a part of a payload.
func cutOff(f *os.File, size int64) bool {
	x, err := elf.NewFile(f)
	if err != nil {
		return true // the names of the sections are at the end
	}
	head := make([]byte, 64) // an Elf64_Ehdr
	if _, err := f.ReadAt(head, 0); err != nil {
		return true
	}
	order := x.ByteOrder
	end := int64(order.Uint64(head[0x28:])) + int64(order.Uint16(head[0x3a:]))*int64(order.Uint16(head[0x3c:]))
	for _, s := range x.Sections {
		if s.Type != elf.SHT_NOBITS {
			end = max(end, int64(s.Offset+s.FileSize))
		}
	}
	if end >= size {
		return end > size
	}
	rest := make([]byte, min(int(size-end), len(payloadHead)))
	_, err = f.ReadAt(rest, end)
	return err != nil || strings.HasPrefix(payloadHead, string(rest))
}

// parse returns the options for a call of the tool. They combine the options with which
// the tool was built and those of the command line.
func (t *tool) parse(args []string) (*options, error) {
	if len(args) > 0 && args[0] == "build" && slices.ContainsFunc(args[1:], func(a string) bool { return strings.HasPrefix(a, "-o") || strings.HasPrefix(a, "--output") }) {
		return nil, usagef("%s is a tool built from %s and cannot build others: use gotrace itself", os.Args[0], t.Name)
	}
	flags := append(slices.Clone(t.Flags), "--eval="+t.Text)
	own := map[string]string{}
	for i, a := range args {
		if a == "--" {
			flags = append(flags, args[i:]...)
			break
		}
		name, val, _ := strings.Cut(strings.TrimPrefix(a, "--"), "=")
		if strings.HasPrefix(a, "--") && slices.ContainsFunc(t.Declared, func(o object.Option) bool { return o.Name == name }) {
			own[name] = val
			continue
		}
		flags = append(flags, a)
	}
	o, err := parseFlags(flags)
	if err != nil {
		return nil, err
	}
	if o.script != t.Text || o.info {
		return nil, usagef("%s runs the script it was built from and no other", os.Args[0])
	}
	for _, from := range []map[string]string{o.scriptOpts, own} {
		for name, val := range from {
			own[name] = val
		}
	}
	o.scriptOpts = own
	for name, val := range t.Options {
		if _, ok := own[name]; !ok {
			own[name] = val
		}
	}
	if len(o.params) == 0 {
		o.params = t.Params
	}
	return o, nil
}

// usage returns the tool's help text: the script's description, its parameters and
// options, and the flags that apply to tools.
func (t *tool) usage(name string) string {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s - built from %s by gotrace %s\n", name, t.Name, t.Version)
	if t.About != "" {
		fmt.Fprintf(&b, "\n%s\n", t.About)
	}
	fmt.Fprintf(&b, "\nUSAGE:\n    %s [options]", name)
	for i := range t.Positional {
		fmt.Fprintf(&b, " [$%d]", i+1)
	}
	b.WriteByte('\n')
	if len(t.Declared) > 0 {
		b.WriteString("\nOPTIONS of the script:\n")
		for _, o := range t.Declared {
			writeOption(&b, o)
		}
	}
	b.WriteString("\nOPTIONS:\n")
	fs := newFlags(&options{})
	fs.VisitAll(func(f *pflag.Flag) {
		if g := fs.group[f.Name]; !f.Hidden && (g == "process" || g == "output" || toolFlags[f.Name]) {
			writeFlag(&b, f)
		}
	})
	return b.String()
}

// toolFlags are the flags from other groups that a tool's help text shows.
var toolFlags = map[string]bool{"verbose": true, "help": true, "version": true, "unsafe": true, "dry-run": true}

// prebuilt returns the object with which the tool was built. It returns nil if that
// object does not fit this call or this machine.
func (a *app) prebuilt() *object.Object {
	t := a.tool
	live, ok := a.kernel.(*kernel.Kernel)
	if t == nil || !ok || len(t.object) == 0 || len(a.opt.dump) > 0 || a.opt.mode == "compiler-bench" || a.opt.list {
		return nil
	}
	var obj *object.Object
	err := errors.New("it was built with other options")
	if t.Key == a.key() {
		obj, err = object.Decode(t.object)
	}
	if err == nil {
		err = runtime.Unmet(obj, live)
	}
	if err != nil {
		if a.opt.verbose {
			fmt.Fprintf(a.report.w, "Compiling %s: %v\n", t.Name, err)
		}
		return nil
	}
	if !a.opt.noWarnings {
		for _, w := range t.Warnings {
			io.WriteString(a.report.w, w)
		}
	}
	return obj
}

// key returns a text that contains everything in the command line and the environment
// on which an object depends.
func (a *app) key() string {
	o := a.opt
	var env []string
	for _, v := range os.Environ() {
		if strings.HasPrefix(v, "BPFTRACE_") && !strings.HasPrefix(v, "BPFTRACE_COLOR=") {
			env = append(env, v)
		}
	}
	slices.Sort(env)
	var features []string
	for f := range o.noFeature {
		features = append(features, f)
	}
	slices.Sort(features)
	text, err := json.Marshal([]any{
		o.params, o.scriptOpts, o.unsafe, o.pid, o.cmd, o.follow, o.comm, o.uid, o.cgroup, o.container, o.unit, o.warnings, features, o.usdtFile, o.debugInfo, o.probeFilter, o.pcap != "", o.perfetto != "" || o.spans,
		o.recorder > 0 && o.dated(), o.maxOverhead > 0,
		o.functions, o.includeFiles, o.includeDirs, env, ourNamespace(),
	})
	if err != nil {
		panic(err) // cannot happen: the value is plain data
	}
	return fmt.Sprintf("%x", sha256.Sum256(text))
}
