package auth

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// NewTokenFile returns the recogniser of the tokens in a file of lines "token,user,uid,groups", the last two of which may be missing
// and the last of which is a list. They are good for as long as the server runs.
func NewTokenFile(path string, audiences []string) (Recogniser, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("token file: %w", err)
	}
	defer f.Close()
	users := map[fingerprint]User{} // a look-up by the token itself would tell its characters by the time it takes
	r := csv.NewReader(f)
	r.FieldsPerRecord = -1
	for {
		fields, err := r.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("token file: %s: %w", path, err)
		}
		token, u, err := tokenLine(fields)
		if err != nil {
			return nil, fmt.Errorf("token file: %s: %w", path, err)
		}
		users[fingerprintOf(token)] = u
	}
	return forServer{audiences, func(_ context.Context, token string) (*User, error) {
		if u, ok := users[fingerprintOf(token)]; ok {
			return &u, nil
		}
		return nil, nil
	}}, nil
}

func tokenLine(fields []string) (token string, u User, err error) {
	if len(fields) < 3 {
		return "", u, fmt.Errorf("a line must have at least 3 columns (token, user name, user uid), found %d", len(fields))
	}
	if fields[0] == "" {
		return "", u, errors.New("empty token")
	}
	u = User{Name: fields[1], UID: fields[2]}
	if len(fields) > 3 && fields[3] != "" {
		u.Groups = strings.Split(fields[3], ",")
	}
	return fields[0], u, nil
}
