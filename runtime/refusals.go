package runtime

import "strings"

// verifierDoc is the document that explains why the verifier refuses programs. Its
// sections have the names of refusals.
const verifierDoc = "docs/VERIFIER.md"

// refusals are the common reasons for which the verifier refuses programs, by parts of its
// message. The first one that matches counts.
var refusals = []struct {
	parts []string // parts of the message; one is enough
	name  string   // of the section in verifierDoc
	words string   // the fault, in words
	hint  string   // the remedy; "" if there is none in the script
}{
	{[]string{"BPF program is too large"}, "too-many-instructions",
		"the verifier follows all paths through a program, and they have more than a million instructions",
		"fewer iterations of loops, or the statements in several probes"},
	{[]string{"The sequence of ", "jumps is too complex"}, "too-many-branches",
		"there are more branches in a row than the verifier follows",
		"fewer iterations of loops or fewer conditions, or the statements in several probes"},
	{[]string{"infinite loop detected", "back-edge from insn"}, "unbounded-loop",
		"the verifier cannot tell that a loop ends",
		"a loop over a range (for ($i : 0..100)) always ends"},
	{[]string{"combined stack size", "the call stack of", "Too large"}, "stack-too-large",
		"its functions need more than the 512 bytes of stack that the kernel has",
		"smaller strings and buffers, or fewer functions that call each other"},
	{[]string{"GPL-restricted function", "GPL-compatible"}, "license",
		"it calls a function of the kernel that only programs under the GPL may call",
		`config = { license = "GPL" }, which is the default`},
	{[]string{"unknown func", "program of this type cannot use helper", "helper call is not allowed in probe", "invalid func", "calling kernel function"}, "unknown-function",
		"this kernel does not have a function that it calls, or not for this kind of probe",
		"gotrace --info lists what this kernel has; another kind of probe may be allowed to call it"},
	{[]string{"might sleep", "sleepable"}, "sleeping",
		"it calls a function that may wait, which this kind of probe may not", ""},
	{[]string{"cannot pass map_type", "map_type ", "cannot be used in"}, "map-kind",
		"this kernel does not let this kind of probe use a map of this type",
		"another declaration of the map (let @m = hash(1000))"},
	{[]string{"invalid bpf_context access", "invalid access to context", "dereference of modified ctx"}, "context",
		"it reads something of its context that this kernel does not let such a probe read", ""},
	{[]string{"invalid access to map value", "unbounded memory access", "min value is negative", "max value is outside", "invalid access to packet",
		"invalid access to memory", "access beyond struct", "invalid mem access", "invalid read from stack", "invalid indirect read from stack",
		"invalid write to stack", "invalid variable-offset", "!read_ok", "pointer arithmetic", "math between", "write into map forbidden"}, "invalid-access",
		"it cannot tell that an access to memory is within bounds. That is most likely an error of gotrace",
		"please report it, with the output of -v"},
	{[]string{"The address of function"}, "no-such-function",
		"the types of the kernel name the function, but the kernel has no code of that name: the compiler gave it a suffix such as .isra.0",
		"a kprobe may name it: gotrace -l 'kprobe:NAME*' lists the names that begin with NAME"},
	{[]string{"is not modifiable"}, "not-replaceable",
		"the kernel lets programs replace only the security hooks (security_…) and the functions in /sys/kernel/debug/error_injection/list",
		"gotrace -l 'fmod_ret:*' lists them"},
	{[]string{"__noreturn"}, "never-returns", "the function never returns", "fentry and kprobe can be attached to it"},
	{[]string{"unreachable insn", "jump out of range", "invalid BTF", "reference leak", "Unreleased reference"}, "internal",
		"the program is not what it expects. That is most likely an error of gotrace",
		"please report it, with the output of -v"},
}

// inWords returns the meaning of a message of the verifier, a hint, and the section of
// verifierDoc about it. They are "" if the message is not a common one.
func inWords(why string) (words, hint, section string) {
	for _, r := range refusals {
		for _, part := range r.parts {
			if strings.Contains(why, part) {
				return r.words, r.hint, verifierDoc + "#" + r.name
			}
		}
	}
	return "", "", ""
}

// isStatistic reports whether a line of a verifier log only counts the verifier's
// work.
func isStatistic(line string) bool {
	return strings.HasPrefix(line, "processed ") || strings.HasPrefix(line, "verification time") ||
		strings.HasPrefix(line, "stack depth") || strings.HasPrefix(line, "peak_states")
}
