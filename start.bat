@echo off
rem Finds Python and hands over to webui\bootstrap, which installs what is needed and starts the program.
setlocal
set "PYTHONUTF8=1"
set "CHECK=import sys; sys.exit(sys.version_info < (3, 10))"

py -3 -c "%CHECK%" >nul 2>nul
if not errorlevel 1 goto with_launcher
python3 -c "%CHECK%" >nul 2>nul
if not errorlevel 1 goto with_python3
python -c "%CHECK%" >nul 2>nul
if not errorlevel 1 goto with_python
echo Sampler Lab needs Python 3.10 or newer; install it with: winget install Python.Python.3.12 1>&2
exit /b 2

:with_launcher
py -3 "%~dp0webui\bootstrap" %*
exit /b %errorlevel%

:with_python3
python3 "%~dp0webui\bootstrap" %*
exit /b %errorlevel%

:with_python
python "%~dp0webui\bootstrap" %*
exit /b %errorlevel%
