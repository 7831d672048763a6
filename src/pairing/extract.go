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
	for i := 0; i+len(prefix) <= len(text); i++ {
		switch at := text[i : i+len(prefix)]; {
		case !strings.EqualFold(at[:3], prefix[:3]) || at[4] != ':':
		case at[3] == prefix[3]:
			return measure(text[i+len(prefix):])
		case '2' <= at[3] && at[3] <= '9':
			return nil, errNewer
		}
	}
	return nil, errNone
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
