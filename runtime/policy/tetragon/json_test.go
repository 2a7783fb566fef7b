package tetragon

import (
	"testing"

	"github.com/gotrace/gotrace/lang/policy/tetragon"
	"github.com/gotrace/gotrace/runtime/value"
	"github.com/gotrace/gotrace/tests/schema"
)

// TestArguments shows an argument of each kind, as JSON and in a line.
func TestArguments(t *testing.T) {
	str := func(s string) value.Value { return value.Str{S: s} }
	n := func(n uint64) value.Value { return value.Uint(n) }
	sock := []value.Value{n(2), n(1), n(6), n(0), n(3), str("127.0.0.1"), str("10.0.0.1"), n(40000), n(443), n(7), n(1)}
	skb := []value.Value{n(5), n(60), n(0), n(0), str("::1"), str("::2"), n(53), n(54), n(0x86dd), n(17), n(10)}
	cred := make([]value.Value, 16)
	for i := range cred {
		cred[i] = n(0)
	}
	cred[0], cred[4], cred[9], cred[15] = n(1000), n(1001), n(1<<21), n(4026531837)
	for _, c := range []struct {
		show       tetragon.Show
		typ        string
		values     []value.Value
		json, line string
	}{
		{tetragon.ShowInt, "int", []value.Value{value.Int(-5)}, `{"int_arg":-5}`, "-5"},
		{tetragon.ShowUint, "uint32", []value.Value{n(7)}, `{"uint_arg":7}`, "7"},
		{tetragon.ShowLong, "int64", []value.Value{value.Int(-1 << 40)}, `{"long_arg":"-1099511627776"}`, "-1099511627776"},
		{tetragon.ShowSize, "size_t", []value.Value{n(1<<64 - 1)}, `{"size_arg":"18446744073709551615"}`, "18446744073709551615"},
		{tetragon.ShowString, "string", []value.Value{str("a\"<\n")}, `{"string_arg":"a\"<\n"}`, "a\"<\n"},
		{tetragon.ShowString, "string", []value.Value{str("\xff")}, `{"string_arg":"�"}`, "\xff"},
		{tetragon.ShowBytes, "char_buf", []value.Value{value.Bytes("ab"), value.Int(2)}, `{"bytes_arg":"YWI="}`, "bytes 2"},
		{tetragon.ShowBytes, "char_buf", []value.Value{value.Bytes("ab"), value.Int(9000)}, `{"truncated_bytes_arg":{"bytes_arg":"YWI=","orig_size":"9000"}}`, "bytes 9000"},
		{tetragon.ShowVec, "char_iovec", []value.Value{value.Bytes("a"), value.Bytes("b"), value.Bytes(nil), value.Bytes(nil), value.Int(2)}, `{"bytes_arg":"YWI="}`, "bytes 2"},
		{tetragon.ShowFile, "file", []value.Value{str("/bin/su"), n(0o104755)}, `{"file_arg":{"path":"/bin/su","permission":"-rwsr-xr-x"}}`, "/bin/su"},
		{tetragon.ShowPath, "path", []value.Value{str("/tmp"), n(0o041777)}, `{"path_arg":{"path":"/tmp","permission":"drwxrwxrwt"}}`, "/tmp"},
		{tetragon.ShowBinprm, "linux_binprm", []value.Value{str("/bin/x"), n(0o100644)}, `{"linux_binprm_arg":{"path":"/bin/x","permission":"-rw-r--r--"}}`, "/bin/x"},
		{tetragon.ShowSock, "sock", sock, `{"sock_arg":{"family":"AF_INET","type":"SOCK_STREAM","protocol":"IPPROTO_TCP","mark":0,"priority":3,"saddr":"127.0.0.1","daddr":"10.0.0.1","sport":40000,"dport":443,"cookie":"7","state":"TCP_ESTABLISHED"}}`, "tcp 127.0.0.1:40000 -> 10.0.0.1:443"},
		{tetragon.ShowSkb, "skb", skb, `{"skb_arg":{"hash":5,"len":60,"priority":0,"mark":0,"saddr":"::1","daddr":"::2","sport":53,"dport":54,"proto":17,"protocol":"IPPROTO_UDP","family":"AF_INET6"}}`, "udp ::1:53 -> ::2:54 len 60"},
		{tetragon.ShowSockaddr, "sockaddr", []value.Value{n(2), str("1.1.1.1"), n(53)}, `{"sockaddr_arg":{"family":"AF_INET","addr":"1.1.1.1","port":53}}`, "AF_INET 1.1.1.1:53"},
		{tetragon.ShowSockaddr, "sockaddr", []value.Value{n(1), str("47.116.0.0"), n(0)}, `{"sockaddr_arg":{"family":"AF_UNIX"}}`, "AF_UNIX"},
		{tetragon.ShowSockaddrUn, "sockaddr_un", []value.Value{n(1), str("/run/x")}, `{"sockaddr_un_arg":{"family":"AF_UNIX","path":"/run/x"}}`, "/run/x"},
		{tetragon.ShowCapability, "capability", []value.Value{value.Int(21)}, `{"capability_arg":{"value":21,"name":"CAP_SYS_ADMIN"}}`, "CAP_SYS_ADMIN"},
		{tetragon.ShowCaps, "cap_permitted", []value.Value{n(1 << 21)}, `{"cap_permitted_arg":"0000000000200000"}`, "2097152"},
		{tetragon.ShowBPFCmd, "bpf_cmd", []value.Value{value.Int(5)}, `{"bpf_cmd_arg":"BPF_PROG_LOAD"}`, "BPF_PROG_LOAD"},
		{tetragon.ShowBPFProg, "bpf_prog", []value.Value{n(1), n(2), str("p")}, `{"bpf_prog_arg":{"ProgType":"BPF_PROG_TYPE_SOCKET_FILTER","InsnCnt":2,"ProgName":"p"}}`, "BPF_PROG_TYPE_SOCKET_FILTER p"},
		{tetragon.ShowModule, "load_info", []value.Value{str(""), n(0), n(0)}, `{"module_arg":{"name":"","signature_ok":false}}`, ""},
		{tetragon.ShowBPFAttr, "bpf_attr", []value.Value{n(2), n(9), str("p")}, `{"bpf_attr_arg":{"ProgType":"BPF_PROG_TYPE_KPROBE","InsnCnt":9,"ProgName":"p"}}`, "BPF_PROG_TYPE_KPROBE p"},
		{tetragon.ShowBPFMap, "bpf_map", []value.Value{n(1), n(4), n(8), n(16), str("m")}, `{"bpf_map_arg":{"MapType":"BPF_MAP_TYPE_HASH","KeySize":4,"ValueSize":8,"MaxEntries":16,"MapName":"m"}}`, "BPF_MAP_TYPE_HASH m"},
		{tetragon.ShowPerfEvent, "perf_event", []value.Value{n(1), n(9), str(""), n(0)}, `{"perf_event_arg":{"Type":"PERF_TYPE_SOFTWARE","Config":"9","ProbeOffset":"0"}}`, "PERF_TYPE_SOFTWARE"},
		{tetragon.ShowModule, "module", []value.Value{str("m"), n(1), n(1 << 12)}, `{"module_arg":{"name":"m","signature_ok":true,"tainted":["TAINT_OUT_OF_TREE_MODULE"]}}`, "m"},
		{tetragon.ShowNetDev, "net_device", []value.Value{str("lo")}, `{"net_dev_arg":{"name":"lo"}}`, "lo"},
		{tetragon.ShowSyscall, "syscall64", []value.Value{value.Int(59)}, `{"syscall_id":{"id":59,"abi":"x64"}}`, "59"},
		{tetragon.ShowCred, "cred", cred, `{"process_credentials_arg":{"uid":1000,"gid":0,"euid":1001,"egid":0,"suid":0,"sgid":0,"fsuid":0,"fsgid":0,"caps":{"permitted":["CAP_SYS_ADMIN"]},"user_ns":{"level":0,"uid":0,"gid":0,"ns":{"inum":4026531837,"is_host":true}}}}`, "uid=1000 euid=1001 gid=0 egid=0"},
		{tetragon.ShowFile, "file", []value.Value{str("/x")}, `{"error_arg":{"message":"the event has no such argument"}}`, "?"},
	} {
		fields := len(c.values)
		if c.line == "?" {
			fields++
		}
		a := &tetragon.Arg{Type: c.typ, Show: c.show, Fields: fields}
		shown := shownJSON(a, c.values)
		if c.show == tetragon.ShowCred { // whether it is the host's depends on the machine
			shown = object{shown[0]}
			creds := shown[0].value.(object)
			space := creds[len(creds)-1].value.(object)
			space[3].value = object{{"inum", uint64(4026531837)}, {"is_host", true}}
		}
		got, err := shown.MarshalJSON()
		if err != nil || string(got) != c.json {
			t.Errorf("%s: %s (%v), want %s", c.typ, got, err, c.json)
		}
		event := `{"process_kprobe":{"process":{"exec_id":"","pid":1,"tid":1,"start_time":"2026-01-02T03:04:05.000000006Z"},"function_name":"f","return_action":"KPROBE_ACTION_POST","action":"KPROBE_ACTION_POST","args":[` +
			string(got) + `]},"node_name":"n","time":"2026-01-02T03:04:05.000000006Z"}`
		if err := schema.Events([]byte(event)); err != nil {
			t.Errorf("%s: %v", c.typ, err)
		}
		if got := plainArg(a, c.values); got != c.line {
			t.Errorf("%s: %q, want %q", c.typ, got, c.line)
		}
	}
}
