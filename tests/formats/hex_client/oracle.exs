# Unpacks every tarball of a folder as `mix deps.get` does, and writes a line for each: its name, whether Hex accepts it, and
# what it says. One that takes too long counts as refused.
[folder, output] = System.argv()

unpack = fn file ->
  try do
    target = output |> Path.join(file) |> String.to_charlist()

    case :mix_hex_tarball.unpack(File.read!(Path.join(folder, file)), target) do
      {:ok, _} -> "true\t"
      {:error, reason} -> "false\t" <> inspect(reason)
    end
  rescue
    error -> "false\t" <> inspect(error.__struct__)
  end
end

for file <- Enum.sort(File.ls!(folder)) do
  task = Task.async(fn -> unpack.(file) end)

  case Task.yield(task, 5000) || Task.shutdown(task, :brutal_kill) do
    {:ok, verdict} -> IO.puts(file <> "\t" <> verdict)
    nil -> IO.puts(file <> "\tfalse\tit hangs")
  end
end
