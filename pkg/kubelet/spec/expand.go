package spec

import "strings"

// Expand replaces $(NAME) by the value of NAME. A name without a value stays as it is written, and $$ is a
// dollar sign, so that $$(NAME) comes out as the text $(NAME).
func Expand(s string, value func(string) (string, bool)) string {
	var out strings.Builder
	for {
		i := strings.IndexByte(s, '$')
		if i < 0 || i == len(s)-1 {
			return out.String() + s
		}
		out.WriteString(s[:i])
		s = s[i+1:]
		switch s[0] {
		case '$':
			out.WriteByte('$')
			s = s[1:]
		case '(':
			end := strings.IndexByte(s, ')')
			if end < 0 {
				out.WriteString("$(")
				s = s[1:]
				continue
			}
			if v, ok := value(s[1:end]); ok {
				out.WriteString(v)
			} else {
				out.WriteString("$" + s[:end+1])
			}
			s = s[end+1:]
		default:
			out.WriteByte('$')
		}
	}
}
