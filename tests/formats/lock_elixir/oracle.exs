# Reads every file of a folder with the language's own reader and writes what it read, one line a file: its name, the term,
# and the entries of the lock that it is. The same notation is in terms.rs.
defmodule Oracle do
  def dump(atom) when is_atom(atom), do: "a" <> Base.encode16(Atom.to_string(atom))
  def dump(binary) when is_binary(binary), do: "b" <> Base.encode16(binary)
  def dump(integer) when is_integer(integer), do: "i" <> Integer.to_string(integer)
  def dump(float) when is_float(float), do: "f" <> Base.encode16(<<float::float>>)
  def dump(list) when is_list(list), do: "[" <> Enum.map_join(list, ",", &dump/1) <> "]"
  def dump(tuple) when is_tuple(tuple), do: "{" <> Enum.map_join(Tuple.to_list(tuple), ",", &dump/1) <> "}"

  def dump(map) when is_map(map) do
    pairs = Enum.map(map, fn {key, value} -> dump(key) <> "=" <> dump(value) end)
    "%{" <> Enum.join(Enum.sort(pairs), ",") <> "}"
  end

  # What Hex.Utils.lock/1 and Mix.SCM.Git make of an entry.
  def entry({app, tuple}) when is_tuple(tuple) and elem(tuple, 0) == :hex do
    destructure([:hex, name, version, inner, _managers, _deps, repo, outer], Tuple.to_list(tuple))
    {Atom.to_string(app), "hex", to_string(name), version, repo || "hexpm", inner, outer}
  end

  def entry({app, {:git, url, rev, _options}}), do: {Atom.to_string(app), "git", to_string(url), rev}
  def entry({app, {:package, version}}), do: {Atom.to_string(app), "package", version}
  def entry({app, tuple}), do: {Atom.to_string(app), Atom.to_string(elem(tuple, 0))}

  # Whether evaluating it does nothing but make a term.
  def literal?({:%{}, _, pairs}), do: Enum.all?(pairs, &(is_tuple(&1) and tuple_size(&1) == 2 and literal?(&1)))
  def literal?({kind, _, arguments}) when kind in [:{}, :<<>>, :__block__], do: literal?(arguments)
  def literal?({sign, _, [number]}) when sign in [:+, :-], do: is_number(number)
  def literal?({sigil, _, [{:<<>>, _, [text]}, []]}) when sigil in [:sigil_c, :sigil_s], do: is_binary(text)
  def literal?({one, other}), do: literal?(one) and literal?(other)
  def literal?(list) when is_list(list), do: Enum.all?(list, &literal?/1)
  def literal?(other), do: not is_tuple(other)

  def read(path) do
    case Path.extname(path) do
      ".term" ->
        {term, _} = Code.eval_string(File.read!(path))
        {term, nil}

      ".mix" ->
        {term, _} = Code.eval_string(File.read!(path))
        {term, term |> Enum.into(%{}) |> Enum.map(&entry/1) |> Enum.sort_by(&elem(&1, 0))}

      extension when extension in [".mutant", ".hand"] ->
        {:ok, quoted} = Code.string_to_quoted(File.read!(path))
        if not literal?(quoted), do: raise("this is code")
        {term, _} = Code.eval_quoted(quoted)
        {term, nil}

      ".erl" ->
        {:ok, terms} = :file.consult(String.to_charlist(path))
        {terms, nil}
    end
  end
end

[folder, output] = System.argv()

lines =
  for file <- Enum.sort(File.ls!(folder)) do
    try do
      {term, entries} = Oracle.read(Path.join(folder, file))
      [file, "\t", Oracle.dump(term), "\t", Oracle.dump(entries), "\n"]
    rescue
      error -> [file, "\tERROR ", inspect(Exception.message(error)), "\t\n"]
    end
  end

File.write!(output, lines)
