package hoststat

import "strconv"

// object writes a JSON object. Its texts need no escapes. A nil object writes nothing.
type object struct{ b []byte }

func (o *object) begin() { o.b = append(o.b[:0], '{') }

func (o *object) end() string {
	o.b = append(o.b, '}')
	return string(o.b)
}

func (o *object) name(name string) {
	if o.b[len(o.b)-1] != '{' {
		o.b = append(o.b, ',')
	}
	o.b = append(o.b, '"')
	o.b = append(o.b, name...)
	o.b = append(o.b, '"', ':')
}

func (o *object) text(name, value string) {
	o.name(name)
	o.b = append(o.b, '"')
	o.b = append(o.b, value...)
	o.b = append(o.b, '"')
}

// known writes n unless it is negative, which is what unknown counts are.
func (o *object) known(name string, n int64) {
	if o != nil && n >= 0 {
		o.name(name)
		o.b = strconv.AppendInt(o.b, n, 10)
	}
}

// count writes n unless it is 0.
func (o *object) count(name string, n int64) {
	if n > 0 {
		o.known(name, n)
	}
}

func (o *object) float(name string, f float64) {
	if o != nil {
		o.name(name)
		o.b = strconv.AppendFloat(o.b, f, 'f', -1, 64)
	}
}

// object writes a member that is an object of what members writes, unless that is
// nothing.
func (o *object) object(name string, members func()) {
	if o == nil {
		return
	}
	at := len(o.b)
	o.name(name)
	o.b = append(o.b, '{')
	members()
	if o.b[len(o.b)-1] == '{' {
		o.b = o.b[:at]
		return
	}
	o.b = append(o.b, '}')
}
