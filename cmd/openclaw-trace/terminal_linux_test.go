package main_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"unicode"
	"unsafe"
)

// onTerminal runs the binary on a terminal and returns what is shown there.
func onTerminal(t *testing.T, in *instance, settings []string, args ...string) string {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skip("there are no terminals here: ", err)
	}
	defer master.Close()
	var number, unlock uint32
	for _, call := range []struct {
		request uintptr
		arg     *uint32
	}{{syscall.TIOCGPTN, &number}, {syscall.TIOCSPTLCK, &unlock}} {
		if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, master.Fd(), call.request, uintptr(unsafe.Pointer(call.arg))); errno != 0 {
			t.Skip("there are no terminals here: ", errno)
		}
	}
	terminal, err := os.OpenFile("/dev/pts/"+strconv.Itoa(int(number)), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Skip("there are no terminals here: ", err)
	}
	cmd := exec.Command(binary, args...)
	cmd.Env = append(append([]string{"OCT_DB_PATH=" + in.db, "TERM=xterm"}, in.settings...), settings...)
	cmd.Stdout = terminal
	err = cmd.Start()
	terminal.Close()
	if err != nil {
		t.Fatal(err)
	}
	shown, err := io.ReadAll(master)
	if err != nil && !errors.Is(err, syscall.EIO) { // which is the end
		t.Error(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("%q: %v", args, err)
	}
	return strings.ReplaceAll(string(shown), "\r\n", "\n")
}

// On a terminal there are colours, unless somebody minds, and nothing that is stored
// drives it.
func TestTerminal(t *testing.T) {
	in := newInstance(t, dbPath(t))
	p := in.start()
	const hostile = "\u001b]0;owned\u0007 \u009b2J \u202ethgir \r\u001b[1A\U000e0041"
	call, err := json.Marshal(map[string]any{
		"trace_id": "1b4e28ba-2fa1-4d6c-883f-0016d3cca427", "provider": hostile, "model": "m", "error_type": hostile, "error_message": hostile,
		"input_text": hostile, "output_text": hostile, "session_id": hostile, "agent": hostile, "metadata": map[string]any{hostile: hostile},
	})
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequest("POST", in.url+"/v1/traces", strings.NewReader(string(call)))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	if a, err := in.do(req); err != nil || a.status != 202 {
		t.Fatalf("%d %s %v", a.status, a.body, err)
	}
	p.stop()

	colour := strings.NewReplacer("\x1b[0m", "", "\x1b[1m", "", "\x1b[2m", "", "\x1b[31m", "", "\x1b[32m", "", "\x1b[33m", "", "\x1b[36m", "")
	for _, command := range []string{
		"calls", "stats", "stats --by agent", "stats --by session", "show 1b4e28ba", "calls --json", "show 1b4e28ba --json", "stats --by agent --json",
		"export calls", "export calls --format csv", "export errors", "export errors --format csv",
	} {
		args := strings.Fields(command)
		shown := onTerminal(t, in, nil, args...)
		data := strings.Contains(command, "json") || args[0] == "export"
		if painted := colour.Replace(shown) != shown; painted == data {
			t.Errorf("%s: colours: %t\n%q", command, painted, shown)
		}
		for _, r := range colour.Replace(shown) {
			if r != '\n' && r != '\t' && (unicode.IsControl(r) || r == 0x202e || r > 0xe0000) {
				t.Errorf("%s shows %U:\n%q", command, r, shown)
				break
			}
		}
		if plain := onTerminal(t, in, []string{"NO_COLOR=1"}, args...); plain != colour.Replace(plain) {
			t.Errorf("%s with NO_COLOR: %q", command, plain)
		}
	}
	// What is escaped is still the same.
	var line struct {
		Input string `json:"input_text"`
	}
	if err := json.Unmarshal([]byte(onTerminal(t, in, nil, "export", "calls")), &line); err != nil || line.Input != hostile {
		t.Errorf("%v: %q, want %q", err, line.Input, hostile)
	}
}
