package pairing

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
)

// What is wrong with a text that should be a token, for the person who pasted it.
var (
	errNone    = errors.New("this is no token: a token begins with mpp1: and is printed by 'mpproxy pair' on the server")
	errAltered = errors.New("this token was altered on its way: copy it again as a whole")
	errNewer   = errors.New("this token is of a newer kind: update mpproxy on this router")
)

// cutOff says that so many characters are missing at the end.
func cutOff(missing int) error {
	if missing == 1 {
		return errors.New("this token is cut off: 1 character is missing")
	}
	return fmt.Errorf("this token is cut off: %d characters are missing", missing)
}

// tooLong says that so many characters stand behind the end.
func tooLong(n int) error {
	if n == 1 {
		return errors.New("this token has 1 character too many at its end")
	}
	return fmt.Errorf("this token has %d characters too many at its end", n)
}

// extract finds the token in text and returns its bytes, whose second is their number.
func extract(text string) ([]byte, error) {
	at := strings.Index(strings.ToLower(text), "mpp")
	for at >= 0 && !strings.HasPrefix(strings.ToLower(text[at:]), prefix) {
		if rest := text[at+3:]; len(rest) > 1 && rest[0] >= '2' && rest[0] <= '9' && rest[1] == ':' {
			return nil, errNewer
		}
		next := strings.Index(strings.ToLower(text[at+1:]), "mpp")
		if next < 0 {
			at = -1
			break
		}
		at += 1 + next
	}
	if at < 0 {
		return nil, errNone
	}
	return measure(text[at+len(prefix):])
}

// measure takes as many characters as the token says it has. Spaces, line ends and the marks of quoted mail between
// them do not count; what stands apart behind the last one is somebody's sentence.
func measure(text string) ([]byte, error) {
	var chars []byte
	want, attached := 0, 0
	for i := range len(text) {
		c := text[i]
		space := strings.IndexByte(" \t\r\n>", c) >= 0
		switch {
		case want > 0 && len(chars) == want && (space || !isBase64(c)):
			return decode(chars, attached)
		case space:
			continue
		case !isBase64(c):
			return decodeShort(chars, want)
		case want > 0 && len(chars) == want:
			attached++
			continue
		}
		chars = append(chars, c)
		if len(chars) == 4 {
			head, err := base64.RawURLEncoding.DecodeString(string(chars))
			if err != nil || int(head[1]) < headBytes+sumBytes {
				return nil, errAltered
			}
			if head[0] != version {
				return nil, errNewer
			}
			want = base64.RawURLEncoding.EncodedLen(int(head[1]))
		}
	}
	if want > 0 && len(chars) == want {
		return decode(chars, attached)
	}
	return decodeShort(chars, want)
}

func isBase64(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_'
}

func decode(chars []byte, attached int) ([]byte, error) {
	if attached > 0 {
		return nil, tooLong(attached)
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(string(chars))
	if err != nil || int(raw[1]) != len(raw) {
		return nil, errAltered
	}
	return raw, nil
}

// decodeShort judges a token that ended too soon.
func decodeShort(chars []byte, want int) ([]byte, error) {
	if want == 0 { // not even its length is there: the least a token has
		want = base64.RawURLEncoding.EncodedLen(headBytes + sumBytes)
		return nil, fmt.Errorf("this token is cut off: more than %d characters are missing", want-len(chars))
	}
	return nil, cutOff(want - len(chars))
}
