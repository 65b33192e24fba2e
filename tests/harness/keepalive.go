package harness

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"strconv"
	"time"
)

// AskOver sends a request so many times over one connection, each when the one
// before is answered with 200 and a Content-Length, and returns how long each
// took. It does as little as it can, for it shares the machine with what it
// measures.
func AskOver(address, request string, times int) (took []time.Duration, err error) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	reader, sent := bufio.NewReader(conn), []byte(request)
	took = make([]time.Duration, 0, times)
	for range times {
		began := time.Now()
		if _, err := conn.Write(sent); err != nil {
			return nil, err
		}
		if err := readAnswer(reader); err != nil {
			return nil, err
		}
		took = append(took, time.Since(began))
	}
	return took, nil
}

// readAnswer reads one response that has a Content-Length.
func readAnswer(reader *bufio.Reader) error {
	length := 0
	for first := true; ; first = false {
		line, err := reader.ReadSlice('\n')
		if err != nil {
			return err
		}
		if first && string(line) != "HTTP/1.1 200 OK\r\n" {
			return fmt.Errorf("the answer is %s", line)
		}
		if len(line) == 2 {
			break
		}
		if text, found := bytes.CutPrefix(line, []byte("Content-Length: ")); found {
			length, err = strconv.Atoi(string(bytes.TrimSpace(text)))
			if err != nil {
				return err
			}
		}
	}
	_, err := reader.Discard(length)
	return err
}
